"""The self-test: golden images through this machine's preprocessing and engine."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
import pytest

from artifacts.golden import Golden
from artifacts.release import ReleaseRecord, Variant
from inference.deploy.selftest import check_release, compare
from inference.deploy.store import DeviceStore
from inference.errors import DeployError, ImageError, ModelError, SelfTestFailed
from inference.model import ReleasedModel
from inference.wish import Wish
from tests.inference.deploy.support import FOUR, INT8, PICTURES, EngineInMemory, golden, publish, pulled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release of three models, pulled."""
    done = pulled(publish(tmp_path), DeviceStore(tmp_path / "device"), Wish(every=True), activate=False)
    return done.folder


def run(folder: Path, variants: Sequence[Variant], off: Optional[Dict[int, float]] = None) -> List[EngineInMemory]:
    record = ReleaseRecord.from_json((folder / "release.json").read_bytes())
    opened: List[EngineInMemory] = []

    def opener(model: ReleasedModel) -> EngineInMemory:
        opened.append(EngineInMemory(model.variant, off))
        return opened[-1]

    check_release(folder, record, variants, opener)
    return opened


def test_a_model_that_gives_what_its_release_says_passes(folder: Path) -> None:
    (engine,) = run(folder, [INT8])
    assert engine.slices == [1, 1] and engine.closed


def test_a_model_that_takes_raw_pixels_gets_them_and_gives_the_same(tmp_path: Path) -> None:
    raw = INT8.model_copy(update={"io": "raw"})
    reference = publish(tmp_path, variants=(INT8, raw))
    done = pulled(reference, DeviceStore(tmp_path / "device"), Wish(every=True), activate=False)
    assert [engine.dtype for engine in run(done.folder, [INT8, raw])] == ["float32", "uint8"]


def test_a_model_of_four_images_gets_a_partly_filled_batch(folder: Path) -> None:
    (engine,) = run(folder, [FOUR])
    assert engine.slices == [4] and len(PICTURES) == 2


def test_every_model_is_tested_in_its_own_engine(folder: Path) -> None:
    assert [engine.info.chip for engine in run(folder, [INT8, FOUR])] == ["BM1684X", "BM1688"]


@pytest.mark.parametrize(("channel", "head"), [(0, "heatmap"), (1, "heatmap"), (3, "size"), (5, "offset")])
def test_a_value_that_is_too_far_off_names_its_head(channel: int, head: str, folder: Path) -> None:
    with pytest.raises(SelfTestFailed, match=f"{INT8.path} failed: its {head} is off by 0.2[56]") as caught:
        run(folder, [INT8], {channel: -0.26})
    assert caught.value.head == head and caught.value.tolerance == 0.25
    assert abs(caught.value.difference - 0.26) < 1e-3


def test_what_the_tolerance_allows_passes(folder: Path) -> None:
    (engine,) = run(folder, [INT8], {0: 0.24, 5: -0.24})
    assert engine.slices == [1, 1] and engine.closed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_no_number_fails_wherever_it_is(value: float, folder: Path) -> None:
    with pytest.raises(SelfTestFailed, match="its size is no number"):
        run(folder, [INT8], {2: value, 0: 99.0})


def test_one_bad_value_between_the_positions_is_found_when_it_is_no_number(folder: Path) -> None:
    found, _ = golden([INT8])
    heads = np.zeros((2, *found.shape), np.float32)
    for image, wanted in enumerate(found.outputs[0].images):
        for head in wanted:
            heads[image].reshape(-1)[list(head.positions)] = head.values
    compare(heads, found.outputs[0], found, "model")
    heads[1, 0, 0, 1] = np.nan  # position 1 is no multiple of 5
    with pytest.raises(SelfTestFailed, match=r"its heatmap is no number.*scene-2"):
        compare(heads, found.outputs[0], found, "model")


def test_equality_is_asked_for_bit_by_bit_where_nothing_is_allowed() -> None:
    found, _ = golden([INT8], tolerance=0.0)
    heads = np.zeros((2, *found.shape), np.float32)
    for image, wanted in enumerate(found.outputs[0].images):
        for head in wanted:
            heads[image].reshape(-1)[list(head.positions)] = head.values
    compare(heads, found.outputs[0], found, "model")
    heads[0, 0, 0, 0] = np.nextafter(heads[0, 0, 0, 0], np.float32(99))
    with pytest.raises(SelfTestFailed, match="where 0 is allowed"):
        compare(heads, found.outputs[0], found, "model")


def test_an_output_of_another_shape_is_refused() -> None:
    found, _ = golden([INT8])
    with pytest.raises(ModelError, match=r"gave \[1, 6, 8, 8\] for 2 images"):
        compare(np.zeros((1, *found.shape), np.float32), found.outputs[0], found, "model")


def test_a_model_without_golden_outputs_cannot_be_tested(folder: Path) -> None:
    path = folder / "golden.json"
    only = Golden.from_json(path.read_bytes())
    only = only.model_copy(update={"outputs": tuple(one for one in only.outputs if one.chip == "BM1688")})
    path.unlink()
    path.write_bytes(only.to_json())
    with pytest.raises(DeployError, match="has no values for BM1684X int8"):
        run(folder, [INT8])


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema_version": "2.0"}'])
def test_golden_outputs_that_cannot_be_read_are_named(data: bytes, folder: Path) -> None:
    (folder / "golden.json").unlink()
    (folder / "golden.json").write_bytes(data)
    with pytest.raises(DeployError, match=r"golden\.json cannot be used: .*--no-self-test"):
        run(folder, [INT8])


def test_a_golden_image_that_is_gone_is_an_error(folder: Path) -> None:
    (folder / "golden" / "scene-2.png").unlink()
    with pytest.raises(ImageError, match=r"scene-2\.png"):
        run(folder, [INT8])
