"""The command line of the flows: settings in, one paragraph and an exit status out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows import terminal
from flows.preflight import prepare
from flows.stopping import Stopped, noted_signals, run_until_stopped
from settings.errors import SettingsError
from settings.load import load_settings
from settings.model import Settings

if TYPE_CHECKING:
    from tasks.publish import PublishedRelease

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def run_build(argv: Sequence[str]) -> int:
    """Run the build as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    try:
        settings = load_settings(options.profile, overrides=options.set, environ=os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    if options.settings:
        print(settings.describe())
        return DONE
    terminal.quiet_prefect()
    with terminal.lines(), noted_signals() as received:
        try:
            _build(settings, received, explain=options.explain)
        except Stopped as stopped:
            print(f"\nThe build was {stopped}. What is finished is kept, the next run goes on there.", file=sys.stderr)
            return stopped.exit_status
        except Exception as error:
            terminal.tell_failure(error, Path(settings.store.path) / "logs")
            return FAILED
    return DONE


def _build(settings: Settings, received: list[int], *, explain: bool) -> None:
    workspace = prepare(settings)
    # Imported late: Prefect and torch take seconds, and what is wrong so far should not wait for them.
    from flows.engine import mark_cancelled, prefect_in
    from flows.summary import print_explanation, print_summary

    runs: list[str] = []
    with prefect_in(workspace) as server:

        def work() -> PublishedRelease:
            from flows.build import configured

            if server is not None:
                server.wait()
            return configured(runs.append)(settings)

        def farewell() -> None:
            for run in runs:
                mark_cancelled(run)

        try:
            spared = () if server is None else (server.pid,)
            release = run_until_stopped(work, received, spared=spared, farewell=farewell)
        finally:
            if explain:
                for run in runs:
                    print_explanation(workspace, run)
    print_summary(release, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.build", description="Turn CenterNet weights into validated bmodels."
    )
    parser.add_argument(
        "--profile", default="sample", help="sample, coco, or the path of a .toml file (default: sample)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting; may be repeated"
    )
    parser.add_argument("--explain", action="store_true", help="tell for each step whether it was made, and why")
    parser.add_argument(
        "--settings", action="store_true", help="print the effective settings and where each comes from, and stop"
    )
    return parser
