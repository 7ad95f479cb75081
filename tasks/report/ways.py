"""The ways to make int8 that were tried: what each gives and costs, and which tensors bring the error. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from artifacts.variant import Variant
from tasks.attempts import Sensitivity, Tried
from tasks.distance import HEADS
from tasks.publish import Results
from tasks.report.charts import Point

FIRST = "as the settings say"
MOST_TENSORS = 16
_FIGURES = re.compile(r"[:,] | \(")

WAYS_ABOUT = (
    "Int8 of these chips lost more than the gate allows. The settings' escalation was tried in its order; the first "
    "way that is good enough is chosen. All were judged by the same images: 95 % of one try are not 95 % of several."
)
WAYS_HEADING = (
    "chip",
    "way",
    "AP",
    "AP lost, bounds each 95 %",
    "SNR dB heatmap / size / offset",
    "estimated ms",
    "layers in float",
    "outcome",
)
TENSORS_HEADING = (
    "tensor made by",
    "kind",
    *(f"noise of {head} without it" for head in HEADS),
    "layers around it",
    "in float",
)


def way_rows(results: Results) -> list[tuple[str, ...]]:
    """Return one row of text an attempt, in the order of WAYS_HEADING."""
    return [
        (
            one.variant.chip,
            name_of(one),
            "-" if one.ap is None else f"{one.ap:.4f}",
            "-" if one.bounds is None else f"{one.bounds.low + 0.0:.4f} to {one.bounds.high + 0.0:.4f}",
            " / ".join(f"{far.snr_db:.1f}" for far in one.distances.values()) or "-",
            "-" if one.estimated_ms is None else f"{one.estimated_ms:.3f}",
            str(len(one.float_layers)),
            outcome(one),
        )
        for one in results.attempts
    ]


def outcome(one: Tried) -> str:
    """Say in a few words what came of an attempt."""
    if one.chosen or not one.reasons:
        return "chosen" if one.chosen else "good enough"
    # Of a refusal all that the compiler says; of a judgement the figures stand in the other columns.
    return one.reasons[-1] if not one.distances else _FIGURES.split(one.reasons[-1])[0]


def name_of(one: Tried) -> str:
    """Return what a way is called."""
    return one.label.text or FIRST


def tensor_rows(sensitivity: Sensitivity, attempts: Sequence[Tried]) -> list[tuple[str, ...]]:
    """Return the tensors that bring most of the error, in the order of TENSORS_HEADING."""
    kept = next((one.float_layers for one in attempts if one.chosen and one.variant == sensitivity.variant), ())
    return [
        (
            share.tensor,
            share.kind.removeprefix("top."),
            *(f"{0.0 - share.removed[head]:+.1%}" for head in HEADS),
            ", ".join(share.layers),
            "yes" if set(share.layers) <= set(kept) else "no",
        )
        for share in sensitivity.tensors[:MOST_TENSORS]
    ]


def about_tensors(sensitivity: Sensitivity) -> str:
    """Say what the table of the tensors shows."""
    return (
        f"{sensitivity.variant.chip} int8: how much of the noise's energy goes when one tensor alone is in float, "
        f"over {sensitivity.images} calibration images; the {MOST_TENSORS} that are worth most to all heads."
    )


def frontiers(results: Results) -> Iterator[tuple[Variant, list[Point]]]:
    """Yield for each chip that was tried the points of AP against estimated time, its float variants among them."""
    for rung in dict.fromkeys(one.variant for one in results.attempts):
        points = [
            Point(name_of(one), one.estimated_ms, one.ap, "int8", one.chosen)
            for one in results.attempts
            if one.variant == rung and one.ap is not None and one.estimated_ms is not None
        ]
        for compiled in results.compiled:
            variant, ap = compiled.variant, results.rung(compiled).ap
            plain = variant == rung.model_copy(update={"precision": variant.precision})
            if plain and variant.precision != "int8" and ap is not None and compiled.estimated_ms is not None:
                points.append(Point(variant.precision, compiled.estimated_ms, ap, variant.precision, False))
        if len(points) > 1:
            yield rung, points
