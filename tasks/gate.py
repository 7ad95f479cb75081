"""The rule that decides whether a variant may be published. Pure but for the step around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from artifacts.measurements import Loss
from settings.gate import GateSettings
from settings.matrix import SimulatorSettings
from tasks.bootstrap import Proof, images_needed, proof
from tasks.judgement import Judgement, MeasuredLoss, Verdict
from tasks.records import Compiled, HeadDistance, Measured, Simulated, is_mixed
from tasks.step import step
from tasks.toolchain.tuning import tuned
from tasks.workspace import Workspace


@step(version=2, slot="gate")
def gate(
    compiled: Sequence[Compiled],
    measured: Sequence[Measured],
    losses: Sequence[MeasuredLoss],
    simulated: Sequence[Simulated],
    reference: Measured,
    thresholds: GateSettings,
    simulator: SimulatorSettings,
    workspace: Workspace,
) -> Judgement:
    """Judge every variant.

    Args:
        compiled: The bmodels.
        measured: One rung for each chip and precision.
        losses: What each rung loses against the TorchScript.
        simulated: One result for each bmodel that the settings do not leave out.
        reference: The TorchScript's accuracy.
        thresholds: What a variant must keep.
        simulator: How far simulator and interpreter may be apart.
        workspace: Where bytes are kept.

    Returns:
        One verdict a variant, in the order of the bmodels.
    """
    rungs = {(rung.variant.chip, rung.variant.precision): rung for rung in measured if rung.variant}
    bounds = {(one.variant.chip, one.variant.precision): one.bounds for one in losses}
    runs = {run.variant: run for run in simulated}
    return Judgement(
        verdicts=tuple(
            judge(
                one,
                rungs[one.variant.chip, one.variant.precision],
                bounds.get((one.variant.chip, one.variant.precision)),
                runs.get(one.variant),
                reference,
                thresholds,
                simulator,
            )
            for one in compiled
        )
    )


def judge(
    compiled: Compiled,
    measured: Measured,
    loss: Loss | None,
    simulated: Simulated | None,
    reference: Measured,
    thresholds: GateSettings,
    simulator: SimulatorSettings,
) -> Verdict:
    """Judge one variant: head by head, never on the whole output, where the large head hides the small ones.

    Args:
        compiled: The bmodel.
        measured: Its chip and precision in the interpreter.
        loss: What these lose against the TorchScript; None where that was not measured.
        simulated: The bmodel in the simulator; None where it was not run.
        reference: The TorchScript.
        thresholds: What it must keep.
        simulator: How far simulator and interpreter may be apart.

    Returns:
        The verdict, with every reason.
    """
    precision = compiled.variant.precision
    standing = stands(precision, measured, loss, reference, thresholds)
    reasons, unjudged = list(standing.reasons), list(standing.unjudged)
    allowed = tolerance(precision, is_mixed(compiled.quantized), simulator)
    if simulated is None:
        if simulator.skips(compiled.variant):
            unjudged.append("simulator: left out by the settings")
        else:
            reasons.append("it was not run in the simulator")
    elif not (simulated.identical or simulated.max_abs <= allowed):
        options = set(tuned(compiled.variant))
        perhaps = " (perhaps by an option that makes it faster: `toolchain.tuned = false` leaves them out)"
        reasons.append(
            f"simulator and interpreter differ by {simulated.max_abs:.3g}, more than the {allowed:g} allowed"
            f"{perhaps if options and options <= set(compiled.evidence.argv) else ''}"
        )
    return Verdict(
        variant=compiled.variant,
        passed=not reasons,
        reasons=tuple(reasons),
        unjudged=tuple(unjudged),
        undecided=standing.undecided and len(reasons) == 1,
    )


class Standing(NamedTuple):
    """What the gate says of one chip and precision, whatever its bmodels are.

    Attributes:
        reasons: Why it is not taken; empty where it is.
        unjudged: What was not judged, and why.
        undecided: Whether one of the reasons is that there are too few images to tell.
    """

    reasons: tuple[str, ...]
    unjudged: tuple[str, ...]
    undecided: bool


def stands(
    precision: str, measured: Measured, loss: Loss | None, reference: Measured, thresholds: GateSettings
) -> Standing:
    """Judge what a chip and precision give in the interpreter.

    Args:
        precision: Which.
        measured: What was measured of it.
        loss: What it loses against the TorchScript; None where that was not measured.
        reference: The TorchScript.
        thresholds: What it must keep.

    Returns:
        Every reason against it.
    """
    reasons = too_far(precision, measured.distances, thresholds)
    limit: float = getattr(thresholds, _limit_key(precision))
    if reference.ap is None:
        return Standing(reasons, ("AP: the weights are a stand-in, or the evaluation set has no boxes",), False)
    if measured.ap is None or loss is None:
        return Standing((*reasons, "AP was not measured"), (), False)
    shown = proof(loss, limit)
    if shown is Proof.KEPT:
        return Standing(reasons, (), False)
    if shown is Proof.OPEN:
        return Standing((*reasons, _open_question(loss, limit, _limit_key(precision))), (), True)
    broken = (
        f"AP falls by {loss.drop:.4f} to {measured.ap:.4f}, by more than the {limit:g} allowed with 95 % "
        f"confidence (at least {loss.low:.4f}, {loss.images} images)"
    )
    return Standing((*reasons, broken), (), False)


def too_far(precision: str, distances: Mapping[str, HeadDistance], thresholds: GateSettings) -> tuple[str, ...]:
    """Say which heads are too far from the original's, head by head: a whole output hides its small heads.

    Args:
        precision: Of what was measured.
        distances: By head.
        thresholds: The least cosines.
    """
    reasons = []
    floors: Mapping[str, float] = getattr(thresholds.min_cosine, precision).model_dump()
    for head, floor in floors.items():
        distance = distances.get(head)
        if distance is None:
            reasons.append(f"the distance of {head} was not measured")
        elif not distance.cosine >= floor:
            reasons.append(f"cosine of {head} is {distance.cosine:.5f}, below {floor:g}")
    return tuple(reasons)


def hopeless(standing: Standing, loss: Loss | None, thresholds: GateSettings) -> bool:
    """Tell whether another way to make int8 is called for: more images alone will not let this one through.

    Args:
        standing: What the gate says of int8.
        loss: What it loses.
        thresholds: What it must keep.
    """
    if standing.undecided and len(standing.reasons) == 1:
        return loss is not None and loss.drop > thresholds.max_ap_drop
    return bool(standing.reasons)


def _limit_key(precision: str) -> str:
    return "max_ap_drop" if precision == "int8" else "max_ap_drop_fp16"


def _open_question(loss: Loss, limit: float, key: str) -> str:
    needed = images_needed(loss, limit)
    more = (
        "The loss lies just on the limit: no number of images will tell"
        if needed is None
        else f"About {needed} images would tell (`evaluation.limit`, or a larger source)"
    )
    return (
        f"it needs more images: AP falls by {loss.drop:.4f} on {loss.images} images (not by less than {loss.low:.4f} "
        f"and not by more than {loss.high:.4f}, each with 95 % confidence), and {limit:g} is allowed. {more}; "
        f"`gate.{key}` declares a wider limit for a small set"
    )


def tolerance(precision: str, mixed: bool, simulator: SimulatorSettings) -> float:
    """Tell how far simulator and interpreter may be apart.

    Whole int8 must be equal bit by bit. Where float16 arithmetic takes part, the two round in different places.

    Args:
        precision: Of the bmodel.
        mixed: Whether it is int8 with layers in float.
        simulator: What the settings allow.

    Returns:
        The largest allowed absolute difference of a head tensor's value.
    """
    if precision == "fp32":
        return simulator.max_abs_fp32
    if precision == "int8" and not mixed:
        return 0.0
    return simulator.max_abs
