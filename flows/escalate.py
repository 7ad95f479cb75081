"""Where int8 of a chip loses more than the gate allows: other ways to make it, one after the other, until one does not.

What was tried stays stored, so that the next build comes to the same choice without doing it again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from prefect.futures import PrefectFuture

from artifacts.release import Variant
from flows.attempt import Candidate, try_out
from flows.settling import settle
from flows.variants import Ground, Int8, Variants, submit_compile
from settings.quantize import Attempt
from tasks.attempts import NO_LABEL, Sensitivity, Tried
from tasks.escalation import Way, best_of, chosen, measured_try, way
from tasks.gate import hopeless, stands
from tasks.quantize import calibrate
from tasks.records import CalibrationSet, CalibrationTable
from tasks.sensitivity import find_sensitive

log = logging.getLogger(__name__)


@dataclass
class Escalation:
    """What was tried for the chips whose int8 loses too much.

    Attributes:
        tried: By rung, in the order in which it was tried; the first is what the settings say.
        ways: By rung, how it is made now; only where a way was found.
        sensitivities: By rung, which tensors bring the error, where an attempt counted on that.
    """

    tried: dict[Variant, list[Tried]] = field(default_factory=dict)
    ways: dict[Variant, Int8] = field(default_factory=dict)
    sensitivities: dict[Variant, Sensitivity] = field(default_factory=dict)

    def attempts(self) -> tuple[Tried, ...]:
        """All that was tried, rung by rung, the chosen ones marked."""
        return tuple(one for rung in sorted(self.tried) for one in chosen(tuple(self.tried[rung])))


def escalate(ground: Ground, submitted: Variants, first: Int8, images: CalibrationSet) -> Escalation:
    """Find another way to make int8 for every chip on which the first one loses too much.

    Args:
        ground: What all variants stand upon.
        submitted: What was made the first way, all done.
        first: The first way.
        images: The curated set.

    Returns:
        What was tried, and which way to go.
    """
    search = _Search(ground, first, images)
    attempts = ground.settings.quantize.escalation
    int8 = [rung for rung in sorted(submitted.measured) if rung.precision == "int8"]
    needy = [rung for rung in int8 if search.begin(rung, submitted)] if attempts else []
    for attempt in attempts:
        needy = [rung for rung in needy if rung not in search.found.ways]
        if needy:
            search.go_on(attempt, needy)
    for rung in needy:
        if rung not in search.found.ways:
            log.info("%s int8: none of %d ways is good enough", rung.chip, len(search.found.tried[rung]))
    return search.found


class _Search:
    """The attempts of one build, with what they share."""

    def __init__(self, ground: Ground, first: Int8, images: CalibrationSet) -> None:
        settings = ground.settings
        self.ground, self.first, self.images = ground, first, images
        self.base = Way(settings.calibration.method, first.recipe, NO_LABEL)
        self.found = Escalation()
        self.tables: dict[str, PrefectFuture[CalibrationTable] | None] = {self.base.method: first.table}

    def begin(self, rung: Variant, submitted: Variants) -> bool:
        """Judge the first way; where it loses too much, write it down and tell so."""
        measured, loss = submitted.measured[rung].result(), submitted.losses[rung].result().bounds
        reference, thresholds = self.ground.reference.result(), self.ground.settings.gate
        standing = stands("int8", measured, loss, reference, thresholds)
        if not hopeless(standing, loss, thresholds):
            return False
        log.info("%s int8 is not good enough: %s", rung.chip, "; ".join(standing.reasons))
        made, lowered = submit_compile(self.ground, rung, self.first), submitted.lowered[rung].result()
        settle([made])
        one = measured_try(rung, self.base, lowered, measured, loss, made.result(), reference, thresholds)
        self.found.tried[rung] = [one]
        return True

    def go_on(self, attempt: Attempt, rungs: Sequence[Variant]) -> None:
        """Try one way on some chips, side by side, each over the best that this chip has so far."""
        if attempt.most_sensitive:
            self._learn(rungs)
        candidates = []
        for rung in rungs:
            past = self.found.tried[rung]
            best = best_of(past)
            over = Way(best.method, best.recipe, best.label)
            one = way(attempt, over, self.base, self.found.sensitivities.get(rung))
            if all((one.method, one.recipe) != (before.method, before.recipe) for before in past):
                int8 = Int8(self._table(one), one.recipe, one.label)
                candidates.append(Candidate(rung, one, int8, best))
        for candidate, tried in try_out(self.ground, candidates):
            self.found.tried[candidate.rung].append(tried)
            if not tried.reasons:
                self.found.ways[candidate.rung] = candidate.int8

    def _learn(self, rungs: Sequence[Variant]) -> None:
        ground, settings = self.ground, self.ground.settings
        spec, driving = settings.preprocess.spec(), settings.toolchain.driving
        job = (ground.traced, self.images, spec, ground.compiler, driving, ground.workspace)
        asked = {}
        for rung in rungs:
            if rung not in self.found.sensitivities:
                best = best_of(self.found.tried[rung])
                table = self._table(Way(best.method, best.recipe, best.label))
                asked[rung] = find_sensitive.submit(rung, ground.models[1], table, best.recipe, *job)
        settle(list(asked.values()))
        self.found.sensitivities.update({rung: future.result() for rung, future in asked.items()})

    def _table(self, one: Way) -> PrefectFuture[CalibrationTable] | None:
        if one.method not in self.tables:
            ground, settings = self.ground, self.ground.settings
            spec, driving = settings.preprocess.spec(), settings.toolchain.driving
            job = (ground.models[1], self.images, spec, one.method, ground.compiler, driving, ground.workspace)
            self.tables[one.method] = calibrate.submit(*job, one.label)
        return self.tables[one.method]
