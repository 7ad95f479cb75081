"""Every command line is decided before anything runs, and holds nothing that is known to mislead the compiler."""

from __future__ import annotations

import pytest

from artifacts.release import Variant
from tasks.toolchain import command
from tasks.toolchain.command import Outputs

INT8 = Variant(chip="BM1684X", precision="int8", batch=1)
TWO_CORES = Variant(chip="BM1688", precision="int8", batch=4, cores=2)
VARIANTS = [
    INT8,
    TWO_CORES,
    Variant(chip="BM1684", precision="fp32", batch=1),
    Variant(chip="BM1688", precision="fp16", batch=1),
]


def test_the_import_names_the_module_and_its_shape_as_one_value_each() -> None:
    planned = command.transform((4, 3, 512, 512), timeout_s=7)
    assert planned.argv == (
        *("model_transform", "--model_name", "centernet", "--model_def", "centernet.pt"),
        *("--input_shapes", "[[4, 3, 512, 512]]", "--mlir", "centernet.mlir"),
    )
    assert planned.timeout_s == 7


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 512), (1, 3, 0, 512), (1, 3, -1, 512), (1, 3, 512.0, 512), (True, 3, 512, 512), (1, 3, "512", 512)],
)
def test_a_shape_that_is_not_four_positive_numbers_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="four positive whole numbers"):
        command.transform(shape, timeout_s=1)


def test_the_calibration_is_over_a_list_of_known_length_without_the_tuning_pass() -> None:
    assert command.calibrate(200, "kl", timeout_s=1).argv == (
        *("run_calibration", "centernet.mlir", "--data_list", "images.txt", "--input_num", "200", "--tune_num", "0"),
        *("--cali_method", "kl", "-o", "centernet.cali"),
    )


def test_a_calibration_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        command.calibrate(0, "kl", timeout_s=1)


def test_an_int8_compile_gets_its_tables_and_the_layer_groups() -> None:
    assert command.deploy(INT8, quantize_table=True, timeout_s=1).argv == (
        *("model_deploy", "--mlir", "centernet.mlir", "--chip", "bm1684x", "--quantize", "INT8"),
        *("--model", "centernet.bmodel", "--calibration_table", "centernet.cali"),
        *("--quantize_table", "centernet.qtable", "--enable_lghash", "--lghash_dir", "layer-groups"),
    )


def test_only_a_variant_of_two_cores_says_how_many() -> None:
    arguments = command.deploy(TWO_CORES, quantize_table=False, timeout_s=1).arguments
    assert arguments[arguments.index("--num_core") + 1] == "2"
    assert "--num_core" not in command.deploy(INT8, quantize_table=False, timeout_s=1).arguments


def test_raw_pixels_are_taken_in_planes_and_the_output_is_left_as_the_chip_has_it() -> None:
    raw = command.deploy(INT8.model_copy(update={"io": "raw"}), quantize_table=True, timeout_s=1).arguments
    usual = command.deploy(INT8, quantize_table=True, timeout_s=1).arguments
    added = ("--fuse_preprocess", "--customization_format", "BGR_PLANAR", "--quant_output")
    assert tuple(word for word in raw if word not in usual) == added


def test_further_options_name_the_layer_groups_that_were_found_with_them() -> None:
    planned = command.deploy(INT8, quantize_table=False, timeout_s=1, options=("--compress_mode", "all"))
    assert planned.arguments[-5:-3] == ("--compress_mode", "all")
    assert planned.search == "compress_mode-all"
    assert command.deploy(INT8, quantize_table=False, timeout_s=1).search == ""


def test_the_lowering_stops_before_the_bmodel() -> None:
    planned = command.lower(INT8, quantize_table=False, timeout_s=1)
    assert planned.arguments[-1] == "--not_gen_bmodel"
    assert [expected.pattern for expected in planned.expects] == ["*_tpu.mlir", "*_tpu*weights.npz"]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("plan", [command.lower, command.deploy])
def test_no_optimisation_level_is_ever_given_and_tables_only_for_int8(variant: Variant, plan: object) -> None:
    arguments = plan(variant, quantize_table=False, timeout_s=1).arguments  # type: ignore[operator]
    assert not [word for word in arguments if word.startswith("--opt")]
    assert ("--calibration_table" in arguments) is (variant.precision == "int8")
    assert "--quantize_table" not in arguments
    if variant.precision != "int8":
        with pytest.raises(ValueError, match="is for int8"):
            plan(variant, quantize_table=True, timeout_s=1)  # type: ignore[operator]


def test_a_compile_must_leave_one_bmodel_and_may_leave_any_number_of_profiles() -> None:
    expects = command.deploy(TWO_CORES, quantize_table=False, timeout_s=1).expects
    assert [(expected.pattern, expected.count) for expected in expects] == [
        ("centernet.bmodel", Outputs.ONE),
        ("compiler_profile_*.txt", Outputs.ANY),
    ]
    other = command.deploy(Variant(chip="BM1684", precision="fp32", batch=1), quantize_table=False, timeout_s=1)
    assert other.expects[1].pattern == "_*.dat"


def test_memory_is_filled_only_when_asked() -> None:
    one = Variant(chip="BM1684", precision="fp32", batch=1)
    assert command.deploy(one, quantize_table=False, timeout_s=1).variables == ()
    planned = command.deploy(one, quantize_table=False, timeout_s=1, filled_memory=True)
    assert planned.variables == (("MALLOC_PERTURB_", "165"),)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("####\n\n\nflops: 2020352, runtime: 0.007949ms, ComputationAbility: 0.254164T\n", 0.007949),
        ("runtime: 1ms\nruntime: 12.5 ms\n", 12.5),
        ("no estimate here", None),
    ],
)
def test_the_estimate_is_the_last_one_in_the_profile(profile: str, expected: float | None) -> None:
    assert command.estimated_ms(profile) == expected
