"""The command line of the search for the compiler that made something worse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion

from flows.command import DONE, FAILED, WRONG_USAGE, add_settings, builds_with, carried_out, in_prefect, settings_of
from flows.preflight import prepare
from settings.matrix import MatrixRow
from settings.model import Settings
from tasks.toolchain.releases import is_newer
from tasks.verdict.figures import MEASURES, Measure

if TYPE_CHECKING:
    from flows.bisect import Bisected


def run_bisect(argv: Sequence[str]) -> int:
    """Run the search as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 found, 1 not found or not exactly, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        if not is_newer(options.bad, options.good):
            parser.error(f"--bad {options.bad} is not newer than --good {options.good}")
    except InvalidVersion as error:
        parser.error(f"{error}; a version is written such as 1.30.2")
    settings = settings_of(options)
    if settings is None or not builds_with(settings):
        return WRONG_USAGE
    reduced = only(settings, options.variant)
    if reduced is None:
        names = ", ".join(f"{one.chip}/{one.stem}" for one in settings.variants())
        print(f"no variant is named so: {', '.join(options.variant)}; this profile has {names}", file=sys.stderr)
        return WRONG_USAGE
    measures = tuple(options.measure) or MEASURES
    return carried_out(
        "bisect", reduced, lambda received: _bisect(reduced, options.good, options.bad, measures, received)
    )


def only(settings: Settings, patterns: Sequence[str]) -> Settings | None:
    """Reduce a build to what a search needs: some variants, and no simulator, which nothing is compared of.

    Args:
        settings: The build.
        patterns: Variants as CHIP/STEM, `*` for any text; none means all.

    Returns:
        The settings; None where a pattern names no variant.
    """
    named = {one: f"{one.chip}/{one.stem}" for one in settings.variants()}
    if not all(any(fnmatchcase(name, pattern) for name in named.values()) for pattern in patterns):
        return None
    chosen = [one for one, name in named.items() if any(fnmatchcase(name, each) for each in patterns or "*")]
    rows = [
        MatrixRow(chip=one.chip, precisions=(one.precision,), batches=(one.batch,), cores=(one.cores,), io=(one.io,))
        for one in chosen
    ]
    simulator = settings.simulator.model_copy(update={"images": 0})
    return settings.model_copy(update={"matrix": tuple(rows), "simulator": simulator})


def _bisect(settings: Settings, good: str, bad: str, measures: Sequence[Measure], received: list[int]) -> int:
    workspace = prepare(settings)

    def work(started: Callable[[str], object]) -> Bisected:
        from flows.bisect import bisect
        from flows.engine import announcing

        return announcing(bisect, started)(settings, good, bad, measures)

    done = in_prefect(workspace, received, work)
    print()
    for trial in done.trials:
        print("\n    ".join((f"{trial.compiler}  {trial.outcome}", *trial.reasons)))
    if len(done.candidates) > 1:
        untried = ", ".join(done.candidates[:-1])
        print(f"\n{done.candidates[-1]} is worse; it began there or in {untried}, which could not be tried.")
        return FAILED
    print(f"\n{done.candidates[0]} is the first compiler that is worse than {good}:")
    print("\n".join(f"  {reason}" for reason in done.last.reasons))
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.bisect",
        description="Find the first release of the compiler, between a good one and a bad one, whose models are worse "
        "than the good one's by more than the margins of the settings. Nothing is published.",
    )
    parser.add_argument("--good", required=True, metavar="VERSION", help="a release of the compiler")
    parser.add_argument("--bad", required=True, metavar="VERSION", help="a later one, whose models are worse")
    add_settings(parser)
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="CHIP/STEM",
        help="build only these of the profile's variants, * for any text; may be repeated",
    )
    parser.add_argument(
        "--measure", action="append", default=[], choices=MEASURES, help="look only at this; may be repeated"
    )
    return parser
