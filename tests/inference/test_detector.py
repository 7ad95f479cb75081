"""The detector over an engine in memory: that its parts are joined rightly, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np
import pytest

from artifacts.release import PreprocessSpec, TensorInfo, Variant
from inference import Detections, Detector
from inference import detector as detector_module
from inference.engines.base import EngineInfo, check_batch, check_contract, run_in_slices
from inference.errors import ImageError, ModelError, OptionError
from inference.preprocess import preprocess_batch
from tests.inference.engine_in_memory import SPEC, VARIANT, EngineInMemory
from tests.inference.releases import write_release


def images(*sizes: int) -> List[np.ndarray]:
    return [np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8) for size in sizes]


def test_an_image_becomes_detections_in_its_own_pixels(engine: EngineInMemory, release: Path) -> None:
    with Detector(release) as detect:
        found = detect(images(128)[0])
        assert isinstance(found, Detections)
        assert [detect.class_names[i] for i in found.class_ids] == ["dog"]
        # A cell is 4 input pixels, an input pixel 2 of the image.
        np.testing.assert_allclose(found.boxes_xyxy, [[32, 32, 64, 48]], atol=1e-3)
    assert engine.closed


def test_images_reach_the_engine_preprocessed_by_the_releases_spec(engine: EngineInMemory, release: Path) -> None:
    batch = images(30, 40, 50)
    with Detector(release) as detect:
        assert len(detect.detect(batch)) == 3
    np.testing.assert_array_equal(engine.batches[0], preprocess_batch(batch, SPEC))


def test_a_model_of_raw_pixels_gets_the_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = Variant(chip="BM1688", precision="int8", batch=1, io="raw")
    fused = SPEC.model_copy(update={"fused": True})
    engine = EngineInMemory(raw, fused)
    monkeypatch.setattr(detector_module, "open_engine", lambda *_: engine)
    folder = write_release(tmp_path, {VARIANT: b"floats", raw: b"pixels"}, spec=SPEC)
    batch = images(30)
    with Detector(folder, io="raw") as detect:
        detect(batch[0])
        list(detect.stream(batch))
    for given in engine.batches:
        np.testing.assert_array_equal(given, preprocess_batch(batch, fused))
    assert len(engine.batches) == 2


def test_a_score_of_fp32_becomes_the_models_own(engine: EngineInMemory, tmp_path: Path) -> None:
    release = write_release(tmp_path, {VARIANT: b"x"}, spec=SPEC, matching_scores=[(0.5, 0.9999), (0.6, 0.99995)])
    image = images(10)[0]
    with Detector(release, conf=0.6) as plain, Detector(release, conf=0.5, match_fp32=True) as matched:
        assert (plain.conf, matched.conf) == (0.6, 0.9999)
        assert len(plain(image)) == 1 and len(matched(image)) == 0
        assert [len(one.detections) for one in matched.stream([image])] == [0]


def test_confidence_and_number_are_limited_as_asked(engine: EngineInMemory, release: Path) -> None:
    with Detector(release, conf=0.99) as detect:
        assert len(detect(images(10)[0])) == 0


def test_times_are_kept_for_every_stage(engine: EngineInMemory, release: Path) -> None:
    with Detector(release) as detect:
        detect.detect(images(10, 20))
        detect(images(30)[0])
        assert detect.times.images == 3
        assert min(detect.times.preprocess_s, detect.times.infer_s, detect.times.decode_s) > 0


def test_an_unknown_engine_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="choose one of auto, sail, simulator"):
        Detector(tmp_path / "nothing", "cuda")


def test_an_engine_that_returns_nan_is_an_error(engine: EngineInMemory, release: Path) -> None:
    engine.value = float("nan")
    with Detector(release) as detect, pytest.raises(ModelError, match="no finite numbers"):
        detect(images(10)[0])


def test_no_image_at_all_is_refused(engine: EngineInMemory, release: Path) -> None:
    with Detector(release) as detect, pytest.raises(OptionError):
        detect.detect([])


def test_what_is_no_image_is_refused(engine: EngineInMemory, release: Path) -> None:
    with Detector(release) as detect, pytest.raises(ImageError):
        detect(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    "loaded, words",
    [
        (EngineInMemory(VARIANT, PreprocessSpec(width=96, height=64)), r"takes float32 \[2, 3, 64, 96\]"),
        (EngineInMemory(VARIANT, PreprocessSpec(width=64, height=64, fused=True)), "takes uint8"),
        (EngineInMemory(Variant(chip="BM1688", precision="int8", batch=1), SPEC), r"takes float32 \[1, "),
        (EngineInMemory(VARIANT, SPEC, classes=80), "84 channels, but its release has 3 class names"),
    ],
    ids=["another size", "raw pixels", "another batch", "other classes"],
)
def test_a_model_that_is_not_what_its_release_says_is_refused_and_closed(
    monkeypatch: pytest.MonkeyPatch, release: Path, loaded: EngineInMemory, words: str
) -> None:
    monkeypatch.setattr(detector_module, "_open_engine", lambda model, python: loaded)
    with pytest.raises(ModelError, match=words):
        Detector(release)
    assert loaded.closed


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9])
def test_a_model_of_four_images_is_fed_any_number(count: int) -> None:
    seen: List[int] = []

    def run(part: np.ndarray) -> np.ndarray:
        seen.append(len(part))
        return part * 10

    batch = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    np.testing.assert_array_equal(run_in_slices(batch, 4, run), batch * 10)
    assert set(seen) == {4}


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((1, 3, 64, 96), np.float32),
        np.zeros((3, 64, 64), np.float32),
        np.zeros((0, 3, 64, 64), np.float32),
    ],
    ids=["dtype", "size", "no batch axis", "empty"],
)
def test_a_batch_for_another_model_is_refused(batch: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"takes float32 \[N, 3, 64, 64\]"):
        check_batch(batch, EngineInMemory(VARIANT, SPEC).info)


@pytest.mark.parametrize(
    "given, made",
    [
        ((1, 3, 64, 64), (1, 4, 16, 16)),
        ((1, 1, 64, 64), (1, 7, 16, 16)),
        ((1, 3, 64, 64), (2, 7, 16, 16)),
        ((1, 3, 64, 64), (1, 7, 16)),
        ((3, 64, 64), (1, 7, 16, 16)),
    ],
)
def test_a_network_of_another_kind_is_refused(given: tuple, made: tuple) -> None:  # type: ignore[type-arg]
    tensors = [TensorInfo(name="t", dtype="float32", shape=shape) for shape in (given, made)]
    with pytest.raises(ModelError, match="no CenterNet with one head tensor"):
        check_contract(EngineInfo("memory", "BM1688", tensors[0], "float32", tensors[1]))
