"""What the gate lets pass, case by case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from artifacts.measurements import Loss
from artifacts.release import Variant
from settings.gate import GateSettings
from settings.matrix import SimulatorSettings
from tasks.gate import gate, judge, tolerance
from tasks.judgement import MeasuredLoss, Verdict
from tasks.keys import key_fields
from tasks.records import HeadDistance, Simulated
from tests.tasks.results import FP16, FP32, INT8, INT8_4B, compiled, heads, measured, simulated, workspace_in

BM1684 = Variant(chip="BM1684", precision="int8", batch=1)


def lost(drop: float, low: float | None = None, high: float | None = None) -> Loss:
    """A loss that is sure, unless bounds are given."""
    return Loss(drop=drop, low=drop if low is None else low, high=drop if high is None else high, images=100)


def verdict(folder: Path, variant: Variant = INT8, **changes: Any) -> Verdict:
    """The verdict on a variant that is as good as the reference but for the changes."""
    ap = changes.pop("ap", 0.6)
    return judge(
        compiled(workspace_in(folder), variant, mixed=changes.pop("mixed", True)),
        measured(None, variant, ap, distances=changes.pop("distances", heads())),
        changes.pop("loss", None if ap is None else lost(0.6 - ap)),
        changes.pop("simulated", simulated(variant)),
        measured(None, None, changes.pop("reference_ap", 0.6)),
        changes.pop("thresholds", GateSettings()),
        changes.pop("simulator", SimulatorSettings()),
    )


@pytest.mark.parametrize("variant", [FP32, FP16, INT8, INT8_4B, BM1684])
def test_a_variant_as_good_as_the_reference_passes(variant: Variant, tmp_path: Path) -> None:
    assert verdict(tmp_path, variant) == Verdict(variant=variant, passed=True)


@pytest.mark.parametrize(
    ("variant", "ap", "passes"),
    [
        (INT8, 0.595, True),
        (INT8, 0.5949, False),
        (FP16, 0.598, True),
        (FP16, 0.5979, False),
        (FP32, 0.5979, False),
        (INT8, 0.65, True),
    ],
)
def test_ap_may_fall_by_what_is_allowed_and_no_more(variant: Variant, ap: float, passes: bool, tmp_path: Path) -> None:
    found = verdict(tmp_path, variant, ap=ap)
    assert found.passed is passes
    if not passes:
        assert f"AP falls by {0.6 - ap:.4f} to {ap:.4f}" in found.reasons[0]


@pytest.mark.parametrize(("reference", "ap"), [(0.5, 0.495), (0.3, 0.295), (0.9, 0.895)])
def test_a_fall_of_exactly_the_limit_passes_whatever_binary_makes_of_it(
    reference: float, ap: float, tmp_path: Path
) -> None:
    assert verdict(tmp_path, reference_ap=reference, ap=ap, loss=lost(reference - ap)).passed


def test_a_loss_that_may_be_larger_than_the_limit_needs_more_images_and_says_how_many(tmp_path: Path) -> None:
    found = verdict(tmp_path, ap=0.597, loss=lost(0.003, 0.0, 0.006))
    assert not found.passed and found.undecided
    assert found.reasons[0].startswith("it needs more images: AP falls by 0.0030 on 100 images")
    assert "About 230 images would tell" in found.reasons[0]


def test_a_loss_beyond_the_limit_that_may_be_within_it_is_open_too(tmp_path: Path) -> None:
    assert verdict(tmp_path, ap=0.592, loss=lost(0.008, 0.001, 0.02)).undecided


def test_a_loss_that_is_surely_too_large_is_no_question_of_images(tmp_path: Path) -> None:
    found = verdict(tmp_path, ap=0.58, loss=lost(0.02, 0.0051, 0.04))
    assert not found.undecided and "by more than the 0.005 allowed with 95 % confidence" in found.reasons[0]


def test_more_images_alone_do_not_save_what_fails_otherwise(tmp_path: Path) -> None:
    found = verdict(tmp_path, ap=0.597, loss=lost(0.003, 0.0, 0.006), distances=heads(size=0.1))
    assert len(found.reasons) == 2 and not found.undecided


def test_a_loss_that_was_not_measured_fails(tmp_path: Path) -> None:
    assert verdict(tmp_path, loss=None).reasons == ("AP was not measured",)


@pytest.mark.parametrize("head", ["heatmap", "size", "offset"])
def test_one_dead_head_fails_a_variant_whose_others_are_perfect(head: str, tmp_path: Path) -> None:
    found = verdict(tmp_path, distances=heads(**{head: 0.0}))
    assert not found.passed and found.reasons[0].startswith(f"cosine of {head} is 0.00000, below 0.9")


def test_every_precision_has_floors_of_its_own(tmp_path: Path) -> None:
    worn = heads(offset=0.95)
    assert verdict(tmp_path, INT8, distances=worn).passed
    assert not verdict(tmp_path, FP16, distances=worn).passed
    assert not verdict(tmp_path, FP32, distances=heads(offset=0.9995)).passed
    assert verdict(tmp_path, FP16, distances=heads(offset=0.9995)).passed


def test_a_head_that_was_not_measured_fails(tmp_path: Path) -> None:
    found = verdict(tmp_path, distances={head: far for head, far in heads().items() if head != "size"})
    assert found.reasons == ("the distance of size was not measured",)


def test_stand_in_weights_are_not_judged_by_ap(tmp_path: Path) -> None:
    found = verdict(tmp_path, ap=None, reference_ap=None)
    assert found.passed and found.unjudged[0].startswith("AP: the weights are a stand-in")


def test_ap_that_is_missing_while_the_reference_has_one_fails(tmp_path: Path) -> None:
    assert verdict(tmp_path, ap=None).reasons == ("AP was not measured",)


@pytest.mark.parametrize("left_out", [SimulatorSettings(skip=("BM1688/*int8*",)), SimulatorSettings(images=0)])
def test_a_variant_left_out_of_the_simulator_is_said_to_be(left_out: SimulatorSettings, tmp_path: Path) -> None:
    found = verdict(tmp_path, simulated=None, simulator=left_out)
    assert found.passed and found.unjudged == ("simulator: left out by the settings",)


def test_a_simulation_that_is_missing_though_it_was_wanted_fails(tmp_path: Path) -> None:
    found = verdict(tmp_path, simulated=None, simulator=SimulatorSettings(skip=("BM1684X/*",)))
    assert found.reasons == ("it was not run in the simulator",) and not found.passed


@pytest.mark.parametrize(
    ("variant", "max_abs", "mixed", "passes"),
    [
        (INT8, 0.25, True, True),
        (INT8, 0.26, True, False),
        (INT8, 1e-6, False, False),
        (INT8, 0.0, False, True),
        (FP16, 0.25, True, True),
        (FP16, 0.26, True, False),
        (FP32, 0.001, True, True),
        (FP32, 0.0011, True, False),
    ],
)
def test_the_simulator_may_differ_as_far_as_its_arithmetic_rounds(
    variant: Variant, max_abs: float, mixed: bool, passes: bool, tmp_path: Path
) -> None:
    found = verdict(tmp_path, variant, simulated=simulated(variant, max_abs), mixed=mixed)
    assert found.passed is passes
    assert passes or found.reasons[0].startswith(f"simulator and interpreter differ by {max_abs:.3g}, more than the ")


def test_every_reason_is_given(tmp_path: Path) -> None:
    found = verdict(tmp_path, ap=0.1, distances=heads(size=0.1, offset=0.2), simulated=simulated(INT8, 9.0))
    assert len(found.reasons) == 4


def test_nan_gets_into_no_record() -> None:
    # As JSON it would become null, which means "not measured" and passes.
    for make in (
        lambda: simulated(INT8, float("nan")),
        lambda: measured(None, INT8, float("nan")),
        lambda: HeadDistance(cosine=float("nan"), snr_db=1.0, max_abs=1.0),
        lambda: Simulated(variant=INT8, images=1, max_abs=float("inf"), identical=False),
    ):
        with pytest.raises(ValidationError, match="finite"):
            make()


def test_a_bmodel_is_judged_by_its_own_chip_and_precision_and_its_own_simulation(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = gate.fn(
        [compiled(workspace, variant) for variant in (FP32, INT8, INT8_4B)],
        [measured(None, FP32), measured(None, INT8, 0.4)],
        [MeasuredLoss(variant=FP32, bounds=lost(0.0)), MeasuredLoss(variant=INT8, bounds=lost(0.2))],
        [simulated(INT8_4B, 9.0), simulated(FP32), simulated(INT8)],
        measured(None, None),
        GateSettings(),
        SimulatorSettings(),
        workspace,
    )
    assert [(one.variant, len(one.reasons)) for one in found.verdicts] == [(FP32, 0), (INT8, 1), (INT8_4B, 2)]


def test_only_the_gate_reads_the_thresholds() -> None:
    from tasks import calibration_set, compile, gate, gather, quantize, simulate, trace, validate

    readers = []
    for module in (calibration_set, compile, gate, gather, quantize, simulate, trace, validate):
        for name, value in vars(module).items():
            policy = getattr(value, "cache_policy", None)
            function = getattr(policy, "function", None)
            if function is not None and "GateSettings" in map(str, function.__annotations__.values()):
                readers.append(name)
    assert readers == ["gate"]
    named = key_fields("gate", 1, {"thresholds": GateSettings()})
    assert "thresholds.max_ap_drop" in named and "thresholds.min_cosine.int8.size" in named


def test_the_tolerance_is_what_the_release_says_it_was() -> None:
    simulator = SimulatorSettings(max_abs=0.5, max_abs_fp32=0.01)
    assert tolerance("fp32", False, simulator) == 0.01
    assert tolerance("fp16", False, simulator) == 0.5
    assert tolerance("int8", True, simulator) == 0.5
    assert tolerance("int8", False, simulator) == 0.0
