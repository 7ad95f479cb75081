"""The calibrator gets what the device would get, and nothing that it would take without a word and be misled by."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import Driving, TimeoutSettings
from tasks.errors import CalibrationRefused, CommandFailed
from tasks.quantize import calibrate, check_sample, image_list, stable_table
from tasks.records import CalibrationSet, Evidence, StoredImage, TopModel
from tasks.workspace import Workspace
from tests.tasks.image_files import save, scene
from tests.tasks.toolchain.fakes import DATA, FakeToolchain

SPEC = PreprocessSpec(width=64, height=64)
SHAPE = (1, 3, 64, 64)
DRIVING = Driving(omp_threads=2, timeouts=TimeoutSettings(calibrate=300))
TABLE = b"""# mlir version: v1.30.2-20260831 cali version 1.0
# mlir: centernet.mlir
# genetated time: 2026-11-22 14:13:22.496096
# quantization threshold calculation method: kl
# histogram number: 2048
# sample number: 4
###
# tune number: 0
###
# op_name    threshold    min    max
x.1 0.9999548 0.0000275 0.9999548
16 0.4506941 -0.3612020 0.4506941
"""


class Bench:
    """A stand-in compiler, an imported network and three images in a store."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeToolchain(root / "environment")
        # A comma and a space are what a user's folder may have, and what the compiler splits other lists at.
        self.workspace = Workspace(store=str(root / "the store, mine"), cache=str(root / "cache"))
        content = self.workspace.content
        self.model = TopModel(
            mlir=content.put_bytes((DATA / "three_heads.mlir").read_bytes()),
            weights=content.put_bytes(b"weights"),
            weights_name="centernet_top_f32_all_weight.npz",
            input_name="x.1",
            input_shape=SHAPE,
            head_layers=("16", "62", "84", "106"),
            evidence=Evidence(argv=(), log=content.put_bytes(b"log"), seconds=1.0, tool="tpu-mlir 1.30.2"),
        )
        paths = [save(root / f"{name}.png", scene(index)) for index, name in enumerate("cab")]
        self.images = CalibrationSet(
            images=tuple(StoredImage(name=path.name, blob=content.put_file(path)) for path in paths),
            manifest=content.put_bytes(b"[]"),
            contact_sheet=content.put_bytes(b"picture"),
        )

    def calibrate(self, spec: PreprocessSpec = SPEC, method: str = "kl") -> bytes:
        args = (self.model, self.images, spec, method, self.fake.toolchain, DRIVING, self.workspace)
        made = calibrate.fn(*args)
        assert made.images == 3 and made.method == method
        return self.workspace.content.verified(made.table).read_bytes()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def sample() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)


def test_the_calibrator_gets_the_very_tensors_of_the_device_in_the_order_of_the_set(bench: Bench) -> None:
    bench.calibrate()
    given = sorted((bench.fake.root / "samples").iterdir())
    assert [path.name for path in given] == ["00000.npz", "00001.npz", "00002.npz"]
    for path, image in zip(given, bench.images.images, strict=True):
        with np.load(path) as archive:
            assert archive.files == ["x.1"]
            expected = preprocess(read_image(bench.workspace.content.verified(image.blob)), SPEC)[np.newaxis]
            assert archive["x.1"].dtype == np.float32 and np.array_equal(archive["x.1"], expected)


def test_the_same_samples_give_the_same_bytes_and_leave_nothing_in_the_way(bench: Bench) -> None:
    first = bench.calibrate()
    assert bench.calibrate() == first
    assert b"time" not in first and b"# sample number: 3" in first
    assert not list((Path(bench.workspace.store) / "scratch").iterdir())


def test_a_calibrator_that_used_fewer_samples_is_not_believed(bench: Bench) -> None:
    bench.fake.behave(uses=2)
    with pytest.raises(CalibrationRefused, match="3 calibration samples were given, the compiler says it used 2"):
        bench.calibrate()


def test_a_spec_of_another_size_than_the_networks_stops_before_the_compiler(bench: Bench) -> None:
    with pytest.raises(CalibrationRefused, match=r"c.png is refused: .*float32 \[1, 3, 32, 64\]"):
        bench.calibrate(PreprocessSpec(width=64, height=32))
    assert not (bench.fake.root / "samples").exists()


def test_an_image_of_one_colour_stops_before_the_compiler(bench: Bench, tmp_path: Path) -> None:
    black = save(tmp_path / "black.png", np.zeros((64, 64, 3), np.uint8))
    gray = PreprocessSpec(width=64, height=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    flat = StoredImage(name="black.png", blob=bench.workspace.content.put_file(black))
    bench.images = bench.images.model_copy(update={"images": (*bench.images.images[:2], flat)})
    with pytest.raises(CalibrationRefused, match=r"black\.png is refused: its tensor has the same value everywhere"):
        bench.calibrate(gray)


def test_a_failure_of_the_calibrator_is_passed_on(bench: Bench) -> None:
    bench.fake.behave(status=1, says="MemoryError")
    with pytest.raises(CommandFailed, match="ran out of memory"):
        bench.calibrate()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda good: np.where(good > 3, np.float32("nan"), good), "NaN or infinity"),
        (lambda good: np.where(good > 3, np.float32("inf"), good), "NaN or infinity"),
        (np.zeros_like, "the same value everywhere"),
        (np.ones_like, "the same value everywhere"),
        (lambda good: good[0], "its tensor is float32 [3, 64, 64], the network takes float32 [1, 3, 64, 64]"),
        (lambda good: good[:, :, :32], "float32 [1, 3, 32, 64]"),
        (lambda good: good.astype(np.float64), "its tensor is float64"),
        (lambda good: (good * 9).astype(np.uint8), "its tensor is uint8"),
    ],
)
def test_a_sample_that_the_compiler_would_take_without_a_word_is_refused(spoil: object, reason: str) -> None:
    check_sample(sample(), SHAPE, "good.png")
    with pytest.raises(CalibrationRefused, match=r"bad\.png is refused: .*" + re.escape(reason)):
        check_sample(spoil(sample()), SHAPE, "bad.png")  # type: ignore[operator]


def test_the_list_has_a_path_a_line_and_no_blank_one() -> None:
    assert image_list([Path("/a b/0.npz"), Path("/a b/1.npz")]) == b"/a b/0.npz\n/a b/1.npz\n"


def test_a_real_table_loses_its_time_and_nothing_else() -> None:
    time = b"# genetated time: 2026-11-22 14:13:22.496096\n"
    assert stable_table(TABLE, 4) == TABLE.replace(time, b"")


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (b"# sample number: 4", b"# sample number: 3", "4 calibration samples were given, .* used 3"),
        (b"# sample number: 4\n", b"", "used no number of samples"),
        (b"16 0.4506941", b"16 nan", "three finite numbers"),
        (b"16 0.4506941", b"16 inf", "three finite numbers"),
        (b"16 0.4506941", b"16 high", "three finite numbers"),
        (b"16 0.4506941", b"16", "three finite numbers"),
        (b"16 0.4506941 -0.3612020 0.4506941\n", b"16 0.45", "three finite numbers"),
        (TABLE[TABLE.index(b"x.1") :], b"", "empty"),
    ],
)
def test_a_table_that_is_not_over_all_samples_or_not_of_numbers_is_refused(
    before: bytes, after: bytes, complaint: str
) -> None:
    assert before in TABLE
    with pytest.raises(CalibrationRefused, match=complaint):
        stable_table(TABLE.replace(before, after), 4)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(CalibrationRefused):
        stable_table(b"", 0)
