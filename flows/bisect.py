"""Find the compiler that made something worse: python -m flows.bisect --good VERSION --bad VERSION [--measure ...]"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

if __name__ == "__main__":
    # Before the imports: they take seconds, which a mistake on the command line should not wait for.
    from artifacts.standard_output import ended
    from flows.bisect_command import run_bisect

    sys.exit(ended(run_bisect, sys.argv[1:]))

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.errors import NothingWorse
from flows.investigate import investigate
from flows.preflight import check_toolchain
from flows.rebuild import with_compiler
from flows.run_log import join_page
from settings.model import Settings
from tasks.errors import ToolchainError
from tasks.measurements import measurements
from tasks.release_record import assemble
from tasks.toolchain import releases as index
from tasks.verdict.compare import compare
from tasks.verdict.figures import Measure, Side
from tasks.verdict.search import Outcome, first_bad

log = logging.getLogger(__name__)


class Trial(BaseModel):
    """What was found out about one release of the compiler.

    Attributes:
        compiler: Its version.
        outcome: Not worse than the good one, worse, or nothing can be said.
        reasons: What got worse, or why nothing can be said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    compiler: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()


class Bisected(BaseModel):
    """Where something got worse.

    Attributes:
        candidates: The first bad release; several where those before it could not be tried.
        trials: All that were tried, in the order of trying.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def last(self) -> Trial:
        """The release that is bad for certain, the last of the candidates."""
        return next(trial for trial in self.trials if trial.compiler == self.candidates[-1])


@flow(name="bisect", validate_parameters=True)
def bisect(settings: Settings, good: str, bad: str, measures: Sequence[Measure]) -> Bisected:
    """Find the first release of the compiler that is worse than a good one. Nothing is published.

    Args:
        settings: What to build, what is allowed to get worse; which compiler they name is not looked at.
        good: A release of the compiler.
        bad: A later one that is worse.
        measures: What is looked at.

    Returns:
        The first bad release.

    Raises:
        WrongToolchain: The settings name a compiler whose releases are in no index.
        NothingWorse: The bad one is not worse.
        ToolchainError: The good or the bad one cannot be tried.
        IndexUnreachable: The package index, which knows what lies between, does not answer.
    """
    check_toolchain(settings)
    join_page()
    releases = (good, *index.between(good, bad), bad)
    log.info("%d releases of the compiler from %s to %s", len(releases), good, bad)
    baseline = _built(settings, good)
    trials: dict[str, Trial] = {}

    def tried(compiler: str) -> Outcome:
        trials[compiler] = _tried(compiler, baseline, settings, measures)
        return trials[compiler].outcome

    trials[bad] = _compared(bad, _built(settings, bad), baseline, settings, measures)
    if trials[bad].outcome == "good":
        raise NothingWorse(good, bad)
    return Bisected(candidates=first_bad(releases, tried), trials=tuple(trials.values()))


def _tried(compiler: str, baseline: Side, settings: Settings, measures: Sequence[Measure]) -> Trial:
    try:
        return _compared(compiler, _built(settings, compiler), baseline, settings, measures)
    except ToolchainError as error:
        log.info("%s: skipped, nothing can be said: %s", compiler, error)
        return Trial(compiler=compiler, outcome="skipped", reasons=(str(error),))


def _compared(compiler: str, built: Side, baseline: Side, settings: Settings, measures: Sequence[Measure]) -> Trial:
    comparison = compare(baseline, built, settings.margins, measures)
    if comparison.held:
        log.info("%s: bad: %s", compiler, "; ".join(comparison.reasons))
        return Trial(compiler=compiler, outcome="bad", reasons=comparison.reasons)
    log.info("%s: good, none of %d figures is worse", compiler, len(comparison.differences))
    return Trial(compiler=compiler, outcome="good")


def _built(settings: Settings, compiler: str) -> Side:
    findings = investigate(with_compiler(settings, compiler))
    results = findings.results
    record = assemble(results, {}, findings.settings, findings.spec, findings.compiler, findings.workspace)
    return Side(record, measurements(results))
