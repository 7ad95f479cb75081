"""The command line of the watch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from flows.command import DONE, FAILED, WRONG_USAGE, add_settings, builds_with, carried_out, in_prefect, settings_of
from flows.look import look
from flows.preflight import prepare
from settings.model import Settings

if TYPE_CHECKING:
    from flows.watch import Watched


def run_watch(argv: Sequence[str]) -> int:
    """Run the watch as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed or held, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    asked = [] if options.compiler is None else [f"toolchain.version={options.compiler}"]
    settings = settings_of(options, asked)
    if settings is None or not builds_with(settings):
        return WRONG_USAGE
    return carried_out(
        "watch", settings, lambda received: _watch(settings, options.compiler, received, dry_run=options.dry_run)
    )


def _watch(settings: Settings, version: str | None, received: list[int], *, dry_run: bool) -> int:
    # Before Prefect starts: most looks find nothing, and those are quick then.
    looked = look(settings, version)
    if dry_run or not looked.news:
        print(looked.message)
        return DONE
    workspace = prepare(settings)

    def work(started: Callable[[str], object]) -> Watched:
        from flows.engine import announcing
        from flows.watch import watch

        return cast("Watched", announcing(watch, started)(settings, looked.compiler))

    watched = in_prefect(workspace, received, work)
    stream = sys.stderr if watched.outcome == "held" else sys.stdout
    print(f"\n{watched.message[0].upper()}{watched.message[1:]}.", file=stream)
    if watched.verdict is not None:
        print(f"verdict  {watched.verdict}", file=stream)
    if watched.outcome == "held":
        return FAILED
    if version is not None or looked.compiler != settings.toolchain.version:
        print(f"To build by hand with it too, set toolchain.version to {watched.compiler} in the profile.")
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.watch",
        description="Look for a newer release of the compiler; where there is one, build everything with it, compare "
        "with the last good release, and publish if nothing got worse.",
    )
    add_settings(parser)
    parser.add_argument("--compiler", metavar="VERSION", help="try this release of the compiler, not the newest")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    return parser
