"""What is tried when int8 loses more than the gate allows: other ways to make it. Pure but for a step.

Each attempt lies over the best way so far: float layers mend little where ranges are wrong. It is first looked at on
a few images, which takes seconds: where the heads come no nearer to the original's, its accuracy is not worth the
minutes or hours of a whole evaluation set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from artifacts.measurements import Loss
from artifacts.release import PreprocessSpec, Variant
from settings.gate import GateSettings
from settings.quantize import Attempt, Recipe
from settings.sections import TimeoutSettings
from tasks.attempts import NO_LABEL, Label, Screened, Sensitivity, Tried
from tasks.distance import HeadDistances
from tasks.gate import stands, too_far
from tasks.progress import counted
from tasks.records import Compiled, HeadDistance, ImageSet, Lowered, Measured, Traced
from tasks.rungs import DISTANCE_IMAGES, input_batch
from tasks.step import step
from tasks.toolchain.model import Toolchain
from tasks.validate import interpreter, torchscript_of
from tasks.workspace import Workspace

NEARER_DB = 0.5
"""The least gain in signal to noise, mean over the heads, that makes an attempt worth measuring; decibel."""


class Way(NamedTuple):
    """One way to make int8.

    Attributes:
        method: How ranges are derived.
        recipe: What stays in float.
        label: What it is called.
    """

    method: str
    recipe: Recipe
    label: Label


def way(attempt: Attempt, best: Way, first: Way, sensitivity: Sensitivity | None) -> Way:
    """Lay an attempt over the best way so far.

    Args:
        attempt: What is to be tried.
        best: The best way so far.
        first: What the settings say, which names are told apart from.
        sensitivity: Which tensors are worth most; needed where the attempt counts on it.

    Returns:
        The way to try.
    """
    named = best.recipe.named
    if attempt.most_sensitive:
        if sensitivity is None:
            raise ValueError("the most sensitive tensors are not known")
        named = sensitivity.layers(attempt.most_sensitive)
    rules = tuple(dict.fromkeys((*best.recipe.float_layers, *attempt.float_layers)))
    recipe = Recipe(float_tail=best.recipe.float_tail, float_layers=rules, named=named)
    method = best.method if attempt.method == "same" else attempt.method
    return Way(method, recipe, label(method, recipe, first))


def label(method: str, recipe: Recipe, first: Way) -> Label:
    """Name a way after that in which it differs from the first."""
    parts = [] if method == first.method else [f"method {method}"]
    parts += [f"{rule} in float" for rule in recipe.float_layers if rule not in first.recipe.float_layers]
    if recipe.named:
        parts.append(f"{len(recipe.named)} sensitive layers in float")
    return Label(text=", ".join(parts))


def best_of(tried: Sequence[Tried]) -> Tried:
    """Return what lost least so far; where AP means nothing, what came nearest.

    Args:
        tried: At least the first way.
    """
    measured = [one for one in tried if one.bounds is not None]
    if measured:
        return min(measured, key=lambda one: one.bounds.drop if one.bounds else 0.0)
    return max((one for one in tried if one.distances), key=lambda one: _mean_snr(one.distances), default=tried[0])


def worth_measuring(found: Way, best: Tried, after: Mapping[str, HeadDistance]) -> bool:
    """Tell whether an attempt is worth a whole evaluation set.

    Other ranges always are: they cost the device nothing, and distance says little about them. Of two methods the one
    that came nearer in every head has been the one that lost more AP. Float layers are where the heads come nearer.

    Args:
        found: The attempt.
        best: The best way so far.
        after: By head, how far the attempt is from the original; empty where it gave no finite output.
    """
    if not after:
        return False
    return found.method != best.method or nearer(best.distances, after)


def nearer(before: Mapping[str, HeadDistance], after: Mapping[str, HeadDistance]) -> bool:
    """Tell whether the heads came nearer to the original's, on the mean.

    Args:
        before: By head, of the best way so far.
        after: By head, of another; empty where it gave no finite output.
    """
    return bool(after) and set(after) == set(before) and _mean_snr(after) - _mean_snr(before) >= NEARER_DB


def looked_at(variant: Variant, found: Way, lowered: Lowered, seen: Screened, thresholds: GateSettings) -> Tried:
    """Write down an attempt that is not worth measuring."""
    far = too_far("int8", seen.distances, thresholds) if seen.distances else ("its output is not finite",)
    reason = f"the heads come no nearer to the original's (by {NEARER_DB:g} dB), so that its AP was not measured"
    return _tried(variant, found, lowered, seen.distances, reasons=(*far, reason))


def measured_try(
    variant: Variant,
    found: Way,
    lowered: Lowered,
    measured: Measured,
    loss: Loss | None,
    compiled: Compiled,
    reference: Measured,
    thresholds: GateSettings,
) -> Tried:
    """Write down an attempt whose accuracy was measured, with the gate's word on it."""
    return _tried(
        variant,
        found,
        lowered,
        measured.distances,
        ap=measured.ap,
        bounds=loss,
        estimated_ms=compiled.estimated_ms,
        reasons=stands("int8", measured, loss, reference, thresholds).reasons,
    )


def refused_try(variant: Variant, found: Way, why: str) -> Tried:
    """Write down an attempt that the compiler does not take."""
    return Tried(
        variant=variant,
        label=found.label,
        method=found.method,
        recipe=found.recipe,
        float_layers=(),
        distances={},
        reasons=(f"the compiler does not take it: {why}",),
    )


def chosen(tried: tuple[Tried, ...]) -> tuple[Tried, ...]:
    """Mark the first that the gate takes, if there is one."""
    first = next((index for index, one in enumerate(tried) if not one.reasons), None)
    return tuple(one.model_copy(update={"chosen": index == first}) for index, one in enumerate(tried))


@step(version=1, slot="screen {lowered.variant.chip} {lowered.variant.precision}{attempt}")
def screen(
    lowered: Lowered,
    traced: Traced,
    images: ImageSet,
    spec: PreprocessSpec,
    limits: TimeoutSettings,
    toolchain: Toolchain,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> Screened:
    """Measure how near the heads come to the original's on the first images of the evaluation set.

    Args:
        lowered: The network in the chip's dialect, batch 1.
        traced: What the heads should be.
        images: The evaluation set.
        spec: How an image becomes the input tensor.
        limits: Longest time for one image.
        toolchain: The compiler.
        workspace: Where bytes are kept.
        attempt: Which attempt at int8 it is.

    Returns:
        The distances, over the images over which those of the ladder are; none where an output is not finite.

    Raises:
        EngineError: The interpreter failed or took too long.
    """
    label, distances = f"screen {lowered.variant.chip} int8", HeadDistances()
    torchscript = torchscript_of(traced, workspace)
    with interpreter(lowered, label, toolchain, limits.interpret, workspace) as infer:
        for image in counted(images.images[:DISTANCE_IMAGES], label):
            batch = input_batch((image,), spec, workspace.content)
            heads = infer(batch)
            if not np.isfinite(heads).all():
                return Screened(distances={})
            distances.add(torchscript(batch), heads)
    return Screened(distances={head: HeadDistance(**far.model_dump()) for head, far in distances.distances().items()})


def _mean_snr(distances: Mapping[str, HeadDistance]) -> float:
    return sum(far.snr_db for far in distances.values()) / len(distances)


def _tried(
    variant: Variant,
    found: Way,
    lowered: Lowered,
    distances: Mapping[str, HeadDistance],
    *,
    ap: float | None = None,
    bounds: Loss | None = None,
    estimated_ms: float | None = None,
    reasons: tuple[str, ...],
) -> Tried:
    return Tried(
        variant=variant,
        label=found.label,
        method=found.method,
        recipe=found.recipe,
        float_layers=lowered.quantized.float_layers if lowered.quantized else (),
        distances=dict(distances),
        ap=ap,
        bounds=bounds,
        estimated_ms=estimated_ms,
        reasons=reasons,
    )
