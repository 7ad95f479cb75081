"""Bmodels by tpu-nntc: the calibrator sees the device's own pixels, and what it leaves is believed only when right."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec, Variant
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import Driving, TimeoutSettings
from tasks.errors import CommandFailed, OutputMissing, ResultRefused
from tasks.nntc import Int8Network, compile_fp32, compile_int8, letterboxed, quantize_network, remarks
from tasks.records import CalibrationSet, Compiled, StoredImage, Traced
from tasks.toolchain.nntc.provide import provide
from tasks.workspace import Workspace
from tests.tasks.image_files import save, scene
from tests.tasks.toolchain.nntc.fakes import FakeNntc

SPEC = PreprocessSpec(width=8, height=8)
DRIVING = Driving(omp_threads=2, timeouts=TimeoutSettings(calibrate=300, deploy=300))
INT8, UINT8 = 2, 3


class Bench:
    """The stand-in, a traced module and three images in a store."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeNntc(root / "vendor")
        self.workspace = Workspace(store=str(root / "store"), cache=str(root / "cache"))
        self.toolchain = provide(self.fake.in_place, root=root / "cache", timeout_s=60)
        content = self.workspace.content
        self.traced = Traced(
            module=content.put_bytes(b"TorchScript"),
            input_shape=(1, 3, 8, 8),
            output_shape=(1, 84, 2, 2),
            parameters=1,
            max_difference=0.0,
        )
        self.paths = [save(root / f"{name}.png", scene(index)) for index, name in enumerate("cab")]
        self.images = CalibrationSet(
            images=tuple(StoredImage(name=path.name, blob=content.put_file(path)) for path in self.paths),
            manifest=content.put_bytes(b"{}"),
            contact_sheet=content.put_bytes(b"jpeg"),
        )

    def fp32(self, batch: int = 1) -> Compiled:
        return compile_fp32.fn(variant("fp32", batch), self.traced, self.toolchain, DRIVING, self.workspace)

    def quantized(self, *layers: str) -> Int8Network:
        arguments = ("BM1684", self.traced, self.images, SPEC, layers, self.toolchain, DRIVING, self.workspace)
        return quantize_network.fn(*arguments)

    def remarks(self, *layers: str) -> tuple[str, ...]:
        network = self.quantized(*layers)
        return remarks(network.compiled, self.workspace.content.verified(network.prototxt).read_bytes())

    def int8(self, network: Int8Network, chip: str = "BM1684") -> Compiled:
        wanted = variant("int8", 4, chip)
        return compile_int8.fn(wanted, self.traced, network, self.toolchain, DRIVING, self.workspace)


def variant(precision: str, batch: int, chip: str = "BM1684") -> Variant:
    return Variant.model_validate({"chip": chip, "precision": precision, "batch": batch})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("batch", [1, 4])
def test_an_fp32_bmodel_is_read_by_the_reader_of_the_other_compilers(bench: Bench, batch: int) -> None:
    made = bench.fp32(batch)
    assert (made.inputs[0].shape, made.outputs[0].shape) == ((batch, 3, 8, 8), (batch, 84, 2, 2))
    assert made.evidence.tool == "tpu-nntc 3.1.0" and made.evidence.argv[:3] == ("python3", "-m", "bmnetp")
    assert made.estimated_ms is None and made.quantized is None and remarks(made) == ()
    log = bench.workspace.content.verified(made.evidence.log).read_text()
    assert log.startswith("$ NNTC_LIMIT_S=300 python3 -m bmnetp ")


def test_int8_is_calibrated_once_and_compiled_for_further_batch_sizes(bench: Bench) -> None:
    network = bench.quantized("214", "217")
    four = bench.int8(network)
    assert [call[0] for call in bench.fake.calls()] == ["python3", "bmnetu"]
    assert "--fp32_layer_list=214,217" in bench.fake.calls()[0]
    assert (network.compiled.variant.batch, four.variant.batch) == (1, 4)
    assert four.quantized == network.compiled.quantized and four.quantized is not None
    assert (four.quantized.table, four.quantized.float_layers) == (network.umodel.digest, ("214", "217"))


def test_an_int8_network_of_another_chip_is_not_compiled(bench: Bench) -> None:
    with pytest.raises(CommandFailed):
        bench.int8(bench.quantized(), chip="BM1684X")


def test_the_calibrator_gets_all_images_in_their_order_and_as_the_device_places_them(bench: Bench) -> None:
    bench.quantized()
    files = sorted((bench.fake.root / "images").iterdir())
    assert [path.name for path in files] == ["00000.png", "00001.png", "00002.png"]
    for path, original in zip(files, bench.paths, strict=True):
        assert path.read_bytes() == letterboxed(read_image(original), SPEC, "x")


@pytest.mark.parametrize("size", [(40, 64), (64, 40), (3, 5), (512, 512)])
def test_subtracting_and_scaling_a_letterboxed_image_gives_the_devices_tensor(size: tuple[int, int]) -> None:
    spec = PreprocessSpec(width=96, height=64)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    stored = cv2.imdecode(np.frombuffer(letterboxed(image, spec, "x"), np.uint8), cv2.IMREAD_COLOR)
    assert stored is not None and stored.shape == (64, 96, 3)
    mean = np.array([value / spec.scale for value in spec.mean])
    scale = np.array([spec.scale / value for value in spec.std])
    tensor = ((stored - mean) * scale).transpose(2, 0, 1)
    np.testing.assert_allclose(tensor, preprocess(image, spec), atol=1e-6)


@pytest.mark.parametrize(("wrong", "complaint"), [({"chip": "BM1684X"}, "for BM1684X"), ({"side": 16}, "shapes")])
def test_a_bmodel_that_nobody_asked_for_is_refused(bench: Bench, wrong: dict[str, object], complaint: str) -> None:
    bench.fake.makes("BM1684", "fp32", 1, **wrong)
    with pytest.raises(ResultRefused, match=complaint):
        bench.fp32()


def test_fp32_that_takes_or_gives_integers_is_refused(bench: Bench) -> None:
    bench.fake.makes("BM1684", "fp32", 1, gives=INT8)
    with pytest.raises(ResultRefused, match="gives int8, not float32 and float32"):
        bench.fp32()


def test_int8_with_integer_ends_is_taken_and_its_shared_scale_is_remarked(bench: Bench) -> None:
    bench.fake.makes("BM1684", "int8", 1, dtype=INT8, gives=INT8)
    found = bench.remarks("214")
    assert len(found) == 1 and "its output is int8" in found[0]


def test_int8_without_layers_in_float_is_remarked(bench: Bench) -> None:
    (found,) = bench.remarks()
    assert "no layer stays in fp32" in found and "fp32_layers" in found


def test_layers_that_the_network_has_are_not_remarked(bench: Bench) -> None:
    assert bench.remarks("214", "217", "220") == ()


def test_names_that_no_layer_has_are_remarked(bench: Bench) -> None:
    (found,) = bench.remarks("214", "33", "centernet_bmnetp")
    assert found.startswith("no layer of its network is called 33, centernet_bmnetp, so")
    assert "int8/BM1684.prototxt" in found
    unknown, none = bench.remarks("30", "33", "36")
    assert "called 30, 33, 36" in unknown and "no layer stays in fp32" in none


def test_int8_that_gives_bytes_without_a_sign_is_refused(bench: Bench) -> None:
    bench.fake.makes("BM1684", "int8", 1, gives=UINT8)
    with pytest.raises(ResultRefused, match="gives uint8"):
        bench.quantized()


@pytest.mark.parametrize("leaves", ["nothing", "empty"])
def test_exit_status_0_without_a_result_is_a_failure(bench: Bench, leaves: str) -> None:
    bench.fake.behave(leaves=leaves)
    with pytest.raises(OutputMissing, match=r"compilation\.bmodel"):
        bench.fp32()


def test_the_tools_own_comparison_that_fails_is_told_with_what_to_do(bench: Bench) -> None:
    bench.fake.behave(says="max diff = 0.0015\nFail: only one compare!", status=1)
    with pytest.raises(CommandFailed, match=r"own fp32 network further from the original.*use tpu-mlir"):
        bench.quantized()
