"""Golden inputs and outputs as the build makes them. The interpreter is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from artifacts.digest import digest_bytes
from artifacts.golden import Golden
from artifacts.release import PreprocessSpec, Variant
from inference.deploy.selftest import compare
from inference.errors import SelfTestFailed
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import TimeoutSettings
from tasks import golden as module
from tasks.errors import ResultRefused
from tasks.golden import GOLDEN_SCENES, golden_files, golden_images, golden_scene, golden_values, sampled
from tasks.records import Evidence, GoldenValues, ImageSet, Lowered
from tasks.rungs import Infer, Tensor
from tasks.workspace import Workspace
from tests.tasks.results import COMPILER, quantized, settings_in, workspace_in

SPEC = PreprocessSpec(width=64, height=64)
SHAPE = (6, 16, 16)


def network(batch: Tensor) -> Tensor:
    """A head tensor with no two equal values, other ones for each image."""
    values = np.random.default_rng(int(batch.sum()) % 1000).normal(size=(len(batch), *SHAPE))
    return values.astype(np.float32)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_in(tmp_path)


@pytest.fixture
def images(workspace: Workspace) -> ImageSet:
    found: ImageSet = golden_images.fn(SPEC, workspace)
    return found


def lowered(workspace: Workspace, chip: str, precision: str) -> Lowered:
    blob = workspace.content.put_bytes(b"lowered")
    evidence = Evidence(argv=(), log=blob, seconds=1.0, tool="tpu-mlir 1.30.2")
    variant = Variant.model_validate({"chip": chip, "precision": precision, "batch": 1})
    return Lowered(variant=variant, mlir=blob, weights=blob, weights_name="w.npz", evidence=evidence)


def run(
    infer: Infer,
    images: ImageSet,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    chip: str = "BM1688",
    precision: str = "int8",
    mixed: bool = False,
) -> GoldenValues:
    @contextmanager
    def interpreter(*_: object) -> Iterator[Infer]:
        yield infer

    monkeypatch.setattr(module, "interpreter", interpreter)
    network = lowered(workspace, chip, precision)
    if mixed:
        network = network.model_copy(update={"quantized": quantized(True)})
    found: GoldenValues = golden_values.fn(network, images, SPEC, TimeoutSettings(), COMPILER, workspace)
    return found


def outputs(images: ImageSet, workspace: Workspace) -> Tensor:
    decoded = [read_image(workspace.content.path(image.blob)) for image in images.images]
    return np.concatenate([network(preprocess(pixels, SPEC)[np.newaxis]) for pixels in decoded])


def test_the_scenes_are_small_and_as_large_as_the_models_input(workspace: Workspace) -> None:
    spec = PreprocessSpec()
    images = golden_images.fn(spec, workspace).images
    assert len({image.blob.digest for image in images}) == len(images) == GOLDEN_SCENES
    assert sum(image.blob.size for image in images) < 60_000
    for number, image in enumerate(images):
        pixels = read_image(workspace.content.path(image.blob))
        np.testing.assert_array_equal(pixels, golden_scene(number, spec))
        # Nothing is resampled: the tensor holds the pixels themselves.
        raw = preprocess(pixels, PreprocessSpec(fused=True))
        np.testing.assert_array_equal(raw, pixels.transpose(2, 0, 1))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_the_scenes_are_the_same_every_time(tmp_path: Path, images: ImageSet) -> None:
    assert golden_images.fn(SPEC, workspace_in(tmp_path / "other")).images == images.images


def test_the_values_are_those_of_the_heads_and_of_the_highest_peaks() -> None:
    heads = network(np.zeros((1, 3, 4, 4), np.float32))[0]
    heads[1, 5, 7] = 99.0
    found = {head.head: head for head in sampled(heads, 0)}
    plane = SHAPE[1] * SHAPE[2]
    for name, first, end in (("heatmap", 0, 2), ("size", 2, 4), ("offset", 4, 6)):
        positions = found[name].positions  # type: ignore[index]
        assert len(positions) > 60 and min(positions) >= first * plane and max(positions) < end * plane
        assert list(positions) == sorted(set(positions))
        values = heads.reshape(-1)[list(positions)]
        np.testing.assert_array_equal(np.array(found[name].values, np.float32), values)  # type: ignore[index]
    cell = 5 * 16 + 7
    assert plane + cell in found["heatmap"].positions
    assert {2 * plane + cell, 3 * plane + cell} <= set(found["size"].positions)
    assert {4 * plane + cell, 5 * plane + cell} <= set(found["offset"].positions)


def test_positions_differ_from_image_to_image_and_not_from_run_to_run() -> None:
    heads = network(np.zeros((1, 3, 4, 4), np.float32))[0]
    assert list(sampled(heads, 0)) == list(sampled(heads, 0))
    assert list(sampled(heads, 0)) != list(sampled(heads, 1))


def test_a_device_that_gives_the_interpreters_output_passes_bit_by_bit(
    images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = [run(network, images, workspace, monkeypatch)]
    settings = settings_in(tmp_path)
    files = golden_files(images, runs, settings.simulator, workspace.content)
    assert sorted(files) == ["golden.json", "golden/scene-1.png", "golden/scene-2.png"]
    golden = Golden.from_json(workspace.content.path(files["golden.json"]).read_bytes())
    assert golden.shape == SHAPE and golden.images[0].blob == files["golden/scene-1.png"]
    expected, heads = golden.outputs[0], outputs(images, workspace)
    assert expected.tolerance == 0.0
    compare(heads, expected, golden, "model")
    with pytest.raises(SelfTestFailed):
        compare(heads[::-1], expected, golden, "model")


def test_the_tolerance_is_the_simulators(
    images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kinds = [("BM1684", "fp32"), ("BM1684X", "fp16"), ("BM1688", "int8")]
    runs = [run(network, images, workspace, monkeypatch, *kind, mixed=True) for kind in kinds]
    settings = settings_in(tmp_path, "simulator.max_abs=0.125", "simulator.max_abs_fp32=0.5")
    files = golden_files(images, runs, settings.simulator, workspace.content)
    golden = Golden.from_json(workspace.content.path(files["golden.json"]).read_bytes())
    assert [(one.chip, one.precision) for one in golden.outputs] == kinds
    assert [one.tolerance for one in golden.outputs] == [0.5, 0.125, 0.125]


def test_an_output_that_is_no_number_is_refused(
    images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt: Callable[[Tensor], Tensor] = lambda batch: network(batch) * np.float32(np.nan)  # noqa: E731
    with pytest.raises(ResultRefused, match=r"golden BM1688 int8: the output for scene-1\.png holds NaN"):
        run(spoilt, images, workspace, monkeypatch)


def test_equal_values_make_equal_files(
    images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    made = [
        golden_files(images, [run(network, images, workspace, monkeypatch)], settings.simulator, one.content)
        for one in (workspace, workspace)
    ]
    assert made[0] == made[1] and made[0]["golden.json"].digest != digest_bytes(b"")
