"""What the compiler made is believed only when it is what was asked for; that it exited with 0 says nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.bmodel import normalisable
from artifacts.errors import BmodelError
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from settings.quantize import Recipe
from settings.sections import Driving, TimeoutSettings
from tasks.compile import FLOAT_MODE, compile_variant, float_layers, import_network, lower
from tasks.compiled import judged
from tasks.errors import CommandFailed, GraphError, ResultRefused
from tasks.records import CalibrationTable, Evidence, Quantized, TopModel, Traced
from tasks.toolchain.graph import parse
from tasks.workspace import Workspace
from tests.artifacts.bmodel_files import built_bmodel, real_bmodel
from tests.tasks.toolchain.fakes import DATA, FakeToolchain

DRIVING = Driving(omp_threads=2, timeouts=TimeoutSettings(transform=300, lower=300, deploy=300))
FLOAT_TAIL, ALL_INT8 = Recipe(), Recipe(float_tail=False)
NETWORK = (DATA / "three_heads.mlir").read_text()

# What the real compiler made of two convolutions: int8 for BM1684.
REAL = Variant(chip="BM1684", precision="int8", batch=1)
REAL_INPUT, REAL_OUTPUT = (1, 3, 32, 32), (1, 4, 16, 16)

# The network that the stand-in compiler imports, and the bmodel that it leaves.
FP32 = Variant(chip="BM1688", precision="fp32", batch=1)
INT8 = Variant(chip="BM1688", precision="int8", batch=1)
RAW = INT8.model_copy(update={"io": "raw"})
FLOAT16, UINT8 = 1, 3
FLOATS = (("float32", "float32"),)


class Bench:
    """A stand-in compiler, a traced module and a calibration table in a store."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeToolchain(root / "environment")
        self.workspace = Workspace(store=str(root / "store"), cache=str(root / "cache"))
        self.evidence = Evidence(argv=(), log=self.put(b"log"), seconds=1.0, tool="tpu-mlir 1.30.2")
        self.traced = Traced(
            module=self.put(b"TorchScript"),
            input_shape=(1, 3, 64, 64),
            output_shape=(1, 84, 16, 16),
            parameters=1,
            max_difference=0.0,
        )
        self.table = CalibrationTable(
            table=self.put(b"table"), images=4, method="kl", samples_digest="sha256:" + "0" * 64, evidence=self.evidence
        )

    def put(self, data: bytes) -> Blob:
        return self.workspace.content.put_bytes(data)

    def imported(self, batch: int = 1) -> TopModel:
        return import_network.fn(self.traced, batch, self.fake.toolchain, DRIVING, self.workspace)

    @property
    def small(self) -> TopModel:
        """A network of the shapes that `built_bmodel` has."""
        text = NETWORK.replace("1x3x64x64", "1x3x8x8").replace("1x84x16x16", "1x84x2x2")
        return self.imported().model_copy(update={"mlir": self.put(text.encode()), "input_shape": (1, 3, 8, 8)})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    path = tmp_path / "real.bmodel"
    path.write_bytes(real_bmodel("bm1684_int8"))
    return path


def test_a_bmodel_that_is_what_was_asked_for_is_read(real: Path) -> None:
    inputs, outputs, memory = judged(real, REAL, REAL_INPUT, (REAL_OUTPUT,), FLOATS)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in inputs] == [("input.1", "float32", REAL_INPUT)]
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in outputs] == [("31_f32", "float32", REAL_OUTPUT)]
    assert memory == 16384 + 4096 + 65536


@pytest.mark.parametrize(
    ("variant", "shapes", "complaint"),
    [
        (Variant(chip="BM1684X", precision="int8", batch=1), (REAL_INPUT, REAL_OUTPUT), "it is for BM1684"),
        (Variant(chip="BM1688", precision="int8", batch=1, cores=2), (REAL_INPUT, REAL_OUTPUT), r"for 1 core\(s\)"),
        (REAL, ((4, 3, 32, 32), REAL_OUTPUT), r"its shapes are \(1, 3, 32, 32\) -> .*not \(4, 3, 32, 32\)"),
        (REAL, (REAL_INPUT, (1, 84, 16, 16)), r"-> \(\(1, 4, 16, 16\),\), not .*\(1, 84, 16, 16\)"),
    ],
)
def test_a_bmodel_of_another_kind_is_refused(
    real: Path, variant: Variant, shapes: tuple[tuple[int, ...], tuple[int, ...]], complaint: str
) -> None:
    with pytest.raises(ResultRefused, match=complaint):
        judged(real, variant, shapes[0], (shapes[1],), FLOATS)


def test_a_flipped_weight_is_found_though_the_runtime_would_not_notice(real: Path) -> None:
    data = bytearray(real.read_bytes())
    header, flatbuffer = struct.unpack_from("<4x2I", data)
    data[header + flatbuffer + 100] ^= 1
    real.write_bytes(data)
    with pytest.raises(ResultRefused, match="weights do not match their own checksum"):
        judged(real, REAL, REAL_INPUT, (REAL_OUTPUT,), FLOATS)


def test_a_bmodel_that_leaves_work_to_the_hosts_processor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "built.bmodel"
    path.write_bytes(built_bmodel(chip="BM1684", host=16))
    variant = Variant(chip="BM1684", precision="fp32", batch=1)
    with pytest.raises(ResultRefused, match=r"16 parts of it run on the host's processor.*out of the matrix"):
        judged(path, variant, (1, 3, 8, 8), ((1, 84, 2, 2),), FLOATS)


def test_a_bmodel_that_was_cut_short_is_refused(real: Path) -> None:
    real.write_bytes(real.read_bytes()[:-100])
    with pytest.raises(BmodelError):
        judged(real, REAL, REAL_INPUT, (REAL_OUTPUT,), FLOATS)


@pytest.mark.parametrize(("chip", "mode"), [("BM1684", "F32"), ("BM1684X", "F16"), ("BM1688", "F16")])
def test_the_tail_of_an_int8_variant_stays_in_the_float_that_the_chip_has(chip: str, mode: str) -> None:
    variant = Variant.model_validate({"chip": chip, "precision": "int8", "batch": 4})
    assert float_layers(variant, parse(NETWORK), FLOAT_TAIL) == ("16", "62", "84", "106")
    assert FLOAT_MODE[chip] == mode


def test_nothing_is_kept_in_float_where_all_is_float_or_nobody_asked() -> None:
    assert float_layers(FP32, parse(NETWORK), FLOAT_TAIL) == float_layers(INT8, parse(NETWORK), None) == ()
    assert float_layers(INT8, parse(NETWORK), ALL_INT8) == ()


def test_an_int8_network_without_heads_is_refused_and_not_compiled_whole() -> None:
    with pytest.raises(GraphError, match="no concatenation"):
        float_layers(INT8, parse(NETWORK.replace("top.Concat", "top.Add")), FLOAT_TAIL)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_network_is_imported_with_its_shapes_heads_and_weights(bench: Bench, batch: int) -> None:
    model = bench.imported(batch)
    assert model.input_shape == (batch, 3, 64, 64) and model.input_name == "x.1"
    assert model.head_layers == ("16", "62", "84", "106")
    assert (
        bench.workspace.content.verified(model.weights).read_bytes() == (bench.fake.root / "weights.npz").read_bytes()
    )
    assert model.evidence.argv[:1] == ("model_transform",)


@pytest.mark.parametrize(
    ("before", "after"), [("1x3x64x64", "1x4x64x64"), ("1x84x16x16", "1x84x15x15"), ("1x84x16x16", "1x83x16x16")]
)
def test_a_network_of_other_shapes_than_the_modules_is_refused(bench: Bench, before: str, after: str) -> None:
    (bench.fake.root / "network.mlir").write_text(NETWORK.replace(before, after))
    with pytest.raises(ResultRefused, match="exits 0 on shapes that the module itself refuses"):
        bench.imported()


def test_a_network_of_two_inputs_is_refused(bench: Bench) -> None:
    (bench.fake.root / "network.mlir").write_text(NETWORK.replace('%1 = "top.Weight"()', '%1 = "top.Input"()'))
    with pytest.raises(GraphError, match="has 2 inputs"):
        bench.imported()


def test_a_lowered_network_is_kept_with_the_weights_that_it_names(bench: Bench) -> None:
    args = (FP32, bench.imported(), None, FLOAT_TAIL, bench.fake.toolchain, DRIVING, bench.workspace)
    lowered = lower.fn(*args)
    assert lowered.weights_name == "centernet_bm1688_f32_tpu_weights.npz"
    assert bench.workspace.content.verified(lowered.weights).read_bytes() == b"lowered weights"


def test_two_compiles_at_different_times_give_one_bmodel(bench: Bench) -> None:
    made = []
    for time in ("Sun Nov 22 14:18:29 2026\n", "Mon Nov 23 09:00:00 2026\n"):
        (bench.fake.root / "bmodel").write_bytes(built_bmodel(time=time))
        made.append(compile_variant.fn(*_arguments(bench, FP32)))
    assert made[0].bmodel == made[1].bmodel and made[0].content_digest == made[1].content_digest
    assert made[0].estimated_ms == 1.5 and made[0].inputs[0].shape == (1, 3, 8, 8)


def test_a_compile_whose_unset_word_was_left_out_is_done_again_with_filled_memory(bench: Bench) -> None:
    # One network, really compiled twice: in one file the word was 0 and left out, which moves all that follows.
    text = NETWORK.replace("1x3x64x64", "1x3x32x32").replace("1x84x16x16", "1x4x16x16")
    model = bench.imported().model_copy(update={"mlir": bench.put(text.encode()), "input_shape": REAL_INPUT})
    (usual,) = (name for name in ("bm1684_int8", "bm1684_int8_again") if normalisable(real_bmodel(name)))
    made = []
    for first in ("bm1684_int8", "bm1684_int8_again"):
        (bench.fake.root / "bmodel").write_bytes(real_bmodel(first))
        (bench.fake.root / "bmodel.filled").write_bytes(real_bmodel(usual))
        arguments = (REAL, model, bench.table, ALL_INT8, bench.fake.toolchain, DRIVING, bench.workspace)
        made.append(compile_variant.fn(*arguments))
        (bench.fake.root / "bmodel.filled").unlink()
    assert made[0].bmodel == made[1].bmodel
    assert made[0].content_digest == made[1].content_digest
    assert made[0].estimated_ms == 1.5
    filled = [bench.workspace.content.verified(one.evidence.log).read_bytes().startswith(b"$ MALLOC") for one in made]
    assert sorted(filled) == [False, True]


def test_of_two_cores_the_slower_one_decides_how_long_it_takes(bench: Bench) -> None:
    variant = Variant(chip="BM1688", precision="fp32", batch=1, cores=2)
    (bench.fake.root / "bmodel").write_bytes(built_bmodel(cores=2))
    assert compile_variant.fn(*_arguments(bench, variant)).estimated_ms == 2.5


def test_an_int8_compile_gets_the_table_of_ranges_and_the_float_layers(bench: Bench) -> None:
    (bench.fake.root / "bmodel").write_bytes(built_bmodel())
    made = compile_variant.fn(*_arguments(bench, INT8))
    assert "--calibration_table" in made.evidence.argv
    assert bench.fake.noted("quantize_tables") == ["16 F16", "62 F16", "84 F16", "106 F16", ""]
    assert made.quantized == Quantized(
        method="kl", table=bench.table.table.digest, float_layers=("16", "62", "84", "106")
    )
    made = compile_variant.fn(*_arguments(bench, INT8, ALL_INT8))
    assert "--quantize_table" not in made.evidence.argv


def test_what_takes_raw_pixels_is_compiled_with_the_arithmetic_of_the_spec(bench: Bench) -> None:
    (bench.fake.root / "bmodel").write_bytes(built_bmodel(dtype=UINT8, gives=FLOAT16))
    made = compile_variant.fn(*_arguments(bench, RAW), (), PreprocessSpec())
    assert [made.inputs[0].dtype, made.outputs[0].dtype] == ["uint8", "float16"]
    assert "--fuse_preprocess" in made.evidence.argv
    (line,) = bench.fake.noted("inputs")
    assert "mean = [1.040" in line


def test_raw_pixels_without_a_spec_are_refused(bench: Bench) -> None:
    with pytest.raises(ResultRefused, match="needs the preprocess spec"):
        compile_variant.fn(*_arguments(bench, RAW))


@pytest.mark.parametrize(
    ("variant", "types", "complaint"),
    [
        ("raw", {}, "it takes float32 and gives float32, not uint8 and float16"),
        ("raw", {"dtype": 3}, "it takes uint8 and gives float32, not uint8 and float16"),
        ("float", {"gives": 1}, "it takes float32 and gives float16, not float32 and float32"),
    ],
)
def test_a_bmodel_of_other_types_is_refused(bench: Bench, variant: str, types: dict[str, int], complaint: str) -> None:
    (bench.fake.root / "bmodel").write_bytes(built_bmodel(**types))
    which = INT8.model_copy(update={"io": variant})
    with pytest.raises(ResultRefused, match=complaint):
        compile_variant.fn(*_arguments(bench, which), (), PreprocessSpec())


def test_further_options_reach_the_compiler(bench: Bench) -> None:
    (bench.fake.root / "bmodel").write_bytes(built_bmodel())
    made = compile_variant.fn(*_arguments(bench, FP32), ("--compress_mode", "all"))
    assert made.evidence.argv[-5:-3] == ("--compress_mode", "all")


def test_an_int8_compile_without_a_table_of_ranges_is_refused(bench: Bench) -> None:
    arguments = list(_arguments(bench, INT8))
    arguments[2] = None
    for step in (compile_variant, lower):
        with pytest.raises(ResultRefused, match="needs a calibration table"):
            step.fn(*arguments)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda: built_bmodel(chip="BM1684X"), "it is for BM1684X"),
        (lambda: built_bmodel(cores=2), r"it is for 2 core\(s\)"),
        (lambda: built_bmodel()[:-9], "bytes instead of"),
        (lambda: b"no bmodel at all" * 9, "it starts with"),
    ],
)
def test_a_compiler_that_exits_with_0_and_leaves_something_else_is_not_believed(
    bench: Bench, spoil: Callable[[], bytes], complaint: str
) -> None:
    (bench.fake.root / "bmodel").write_bytes(spoil())
    with pytest.raises((ResultRefused, BmodelError), match=complaint):
        compile_variant.fn(*_arguments(bench, FP32))


def test_a_failure_of_the_compiler_is_passed_on_with_its_diagnosis(bench: Bench) -> None:
    arguments = _arguments(bench, FP32)
    bench.fake.behave(status=1, says="terminate called after throwing an instance of 'std::bad_alloc'")
    with pytest.raises(CommandFailed, match=r"deploy BM1688/centernet_fp32_1b\.bmodel: .*ran out of memory"):
        compile_variant.fn(*arguments)


def _arguments(bench: Bench, variant: Variant, quantize: Recipe = FLOAT_TAIL) -> tuple[object, ...]:
    table = bench.table if variant.precision == "int8" else None
    return variant, bench.small, table, quantize, bench.fake.toolchain, DRIVING, bench.workspace
