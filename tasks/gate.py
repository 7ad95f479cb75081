"""The rule that decides whether a variant may be published. Pure but for the step around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from artifacts.measurements import Loss
from settings.gate import GateSettings
from settings.matrix import SimulatorSettings
from settings.sections import QuantizeSettings
from tasks.bootstrap import Proof, images_needed, proof
from tasks.judgement import Judgement, MeasuredLoss, Verdict
from tasks.records import Compiled, Measured, Simulated
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
    quantize: QuantizeSettings,
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
        quantize: Whether int8 has a float tail.
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
                quantize,
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
    quantize: QuantizeSettings,
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
        quantize: Whether int8 has a float tail.

    Returns:
        The verdict, with every reason.
    """
    precision = compiled.variant.precision
    reasons: list[str] = []
    unjudged: list[str] = []
    open_question: str | None = None
    floors: Mapping[str, float] = getattr(thresholds.min_cosine, precision).model_dump()
    for head, floor in floors.items():
        distance = measured.distances.get(head)
        if distance is None:
            reasons.append(f"the distance of {head} was not measured")
        elif not distance.cosine >= floor:
            reasons.append(f"cosine of {head} is {distance.cosine:.5f}, below {floor:g}")
    key = "max_ap_drop" if precision == "int8" else "max_ap_drop_fp16"
    limit: float = getattr(thresholds, key)
    if reference.ap is None:
        unjudged.append("AP: the weights are a stand-in, or the evaluation set has no boxes")
    elif measured.ap is None or loss is None:
        reasons.append("AP was not measured")
    elif (shown := proof(loss, limit)) is not Proof.KEPT:
        open_question = None if shown is Proof.BROKEN else _open_question(loss, limit, key)
        reasons.append(
            open_question
            or f"AP falls by {loss.drop:.4f} to {measured.ap:.4f}, by more than the {limit:g} allowed with 95 % "
            f"confidence (at least {loss.low:.4f}, {loss.images} images)"
        )
    allowed = tolerance(precision, simulator, quantize)
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
        undecided=open_question is not None and len(reasons) == 1,
    )


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


def tolerance(precision: str, simulator: SimulatorSettings, quantize: QuantizeSettings) -> float:
    """Tell how far simulator and interpreter may be apart.

    Whole int8 must be equal bit by bit. Where float16 arithmetic takes part, the two round in different places.

    Returns:
        The largest allowed absolute difference of a head tensor's value.
    """
    if precision == "fp32":
        return simulator.max_abs_fp32
    if precision == "int8" and not quantize.float_tail:
        return 0.0
    return simulator.max_abs
