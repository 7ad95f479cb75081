"""One more way to make int8, tried on some chips side by side: lowered, looked at, measured where that is worth it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prefect.futures import PrefectFuture

from artifacts.release import Variant
from flows.settling import settle
from flows.variants import Ground, Int8, submit_compile
from tasks.attempts import Tried
from tasks.compile import lower
from tasks.errors import CalibrationRefused, CommandError, ResultRefused
from tasks.escalation import Way, looked_at, measured_try, refused_try, screen, worth_measuring
from tasks.loss import measure_loss
from tasks.records import Lowered
from tasks.validate import evaluate

log = logging.getLogger(__name__)

# A rule that finds nothing is not among them: that is a mistake in the settings, or in the rule.
_NOT_TAKEN = (CalibrationRefused, CommandError, ResultRefused)


class Candidate(NamedTuple):
    """One way on one chip.

    Attributes:
        rung: Chip, int8.
        way: The way.
        int8: The same, for the steps.
        best: The best way so far.
    """

    rung: Variant
    way: Way
    int8: Int8
    best: Tried


def try_out(ground: Ground, candidates: Sequence[Candidate]) -> list[tuple[Candidate, Tried]]:
    """Try one way on some chips.

    Args:
        ground: What all variants stand upon.
        candidates: The way on each chip.

    Returns:
        What came of each.
    """
    if candidates:
        ways = "; ".join(f"{one.rung.chip} {one.way.label.text}" for one in candidates)
        log.info("int8 another way: %s", ways)
    results = list(_try_out(ground, candidates))
    for one, tried in results:
        log.info("%s int8, %s: %s", one.rung.chip, one.way.label.text, "; ".join(tried.reasons) or "good enough")
    return results


def _try_out(ground: Ground, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Tried]]:
    driving = ground.settings.toolchain.driving
    ask = {
        one.rung: lower.submit(
            *(one.rung, ground.models[1], one.int8.table, one.int8.recipe),
            *(ground.compiler, driving, ground.workspace, one.int8.attempt),
        )
        for one in candidates
    }
    lowered: dict[Variant, Lowered] = {}
    for one in candidates:
        made = _taken(ask[one.rung], one.int8)
        if isinstance(made, _NOT_TAKEN):
            yield one, refused_try(one.rung, one.way, str(made))
        else:
            lowered[one.rung] = made
    near = []
    for one, tried in _screened(ground, [one for one in candidates if one.rung in lowered], lowered):
        if tried is None:
            near.append(one)
        else:
            yield one, tried
    yield from _measured(ground, near, lowered)


def _screened(
    ground: Ground, candidates: Sequence[Candidate], lowered: Mapping[Variant, Lowered]
) -> Iterator[tuple[Candidate, Tried | None]]:
    """Look at a few images; None for what is worth measuring."""
    settings = ground.settings
    job = (ground.traced, ground.images, settings.preprocess.spec(), settings.toolchain.timeouts)
    futures = [
        screen.submit(lowered[one.rung], *job, ground.compiler, ground.workspace, one.int8.attempt)
        for one in candidates
    ]
    settle(futures)
    for one, future in zip(candidates, futures, strict=True):
        seen = future.result()
        close = worth_measuring(one.way, one.best, seen.distances)
        yield one, None if close else looked_at(one.rung, one.way, lowered[one.rung], seen, settings.gate)


def _measured(
    ground: Ground, candidates: Sequence[Candidate], lowered: Mapping[Variant, Lowered]
) -> Iterator[tuple[Candidate, Tried]]:
    settings, workspace = ground.settings, ground.workspace
    spec, limits, judging = settings.preprocess.spec(), settings.toolchain.timeouts, settings.evaluation.judging
    compiled = {one.rung: submit_compile(ground, one.rung, one.int8) for one in candidates}
    measured = {
        one.rung: evaluate.submit(
            *(lowered[one.rung], ground.traced, ground.reference, ground.images, spec, judging),
            *(limits, ground.compiler, workspace, one.int8.attempt),
        )
        for one in candidates
    }
    losses = {
        one.rung: measure_loss.submit(
            measured[one.rung], ground.reference, ground.images, judging, workspace, one.int8.attempt
        )
        for one in candidates
    }
    settle([*measured.values(), *losses.values()])
    reference = ground.reference.result()
    for one in candidates:
        made = _taken(compiled[one.rung], one.int8)
        if isinstance(made, _NOT_TAKEN):
            yield one, refused_try(one.rung, one.way, str(made))
            continue
        figures, bounds = measured[one.rung].result(), losses[one.rung].result().bounds
        judged = (one.rung, one.way, lowered[one.rung], figures, bounds, made, reference, settings.gate)
        yield one, measured_try(*judged)


def _taken(future: PrefectFuture[Any], int8: Int8) -> Any:
    """What the compiler made, or why it does not take it: that is a finding, and no reason to give up the build."""
    try:
        settle([*([] if int8.table is None else [int8.table]), future])
    except _NOT_TAKEN as error:
        return error
    return future.result()
