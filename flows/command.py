"""The command line of the flows: settings in, one paragraph and an exit status out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from artifacts.environment import shut_to_others
from artifacts.errors import BadReference
from artifacts.reference import Reference, parse_reference
from flows import terminal
from flows.errors import ServerLost
from flows.preflight import check_toolchain, prepare
from flows.stopping import Stopped, leave, noted_signals, run_until_stopped
from settings.errors import SettingsError
from settings.load import load_settings
from settings.model import Settings
from tasks.errors import WrongToolchain
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.publish import PublishedRelease

T = TypeVar("T")

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def run_build(argv: Sequence[str]) -> int:
    """Run the build as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    settings = settings_of(options)
    if settings is None:
        return WRONG_USAGE
    if options.settings:
        print(settings.describe())
        return DONE
    if not builds_with(settings):
        return WRONG_USAGE
    return carried_out("build", settings, lambda received: _build(settings, received, explain=options.explain))


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Let a command be told its settings."""
    parser.add_argument(
        "--profile", default="sample", help="sample, coco, or the path of a .toml file (default: sample)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting; may be repeated"
    )


def settings_of(options: argparse.Namespace, overrides: Sequence[str] = ()) -> Settings | None:
    """Load what a command was told.

    Args:
        options: With what `add_settings` added.
        overrides: More that the command line sets.

    Returns:
        The settings; None where something is wrong, which is said then.
    """
    try:
        return load_settings(options.profile, overrides=[*options.set, *overrides], environ=os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return None


def builds_with(settings: Settings, toolchain: str = "tpu-mlir") -> bool:
    """Tell whether the settings name the compiler that a command builds with; where they do not, that is said.

    Args:
        settings: Everything that a build is told.
        toolchain: The compiler.
    """
    try:
        check_toolchain(settings, toolchain)
    except WrongToolchain as error:
        print(error, file=sys.stderr)
        return False
    return True


def release_of(options: argparse.Namespace) -> tuple[Settings, Reference] | None:
    """Load what a command about a release was told.

    Args:
        options: With what `add_settings` added, and `reference`, None for the profile's own release.

    Returns:
        The settings and the release; None where something is wrong, which is said then.
    """
    settings = settings_of(options)
    if settings is None:
        return None
    try:
        return settings, parse_reference(options.reference or f"oci:{settings.release.repository}")
    except BadReference as error:
        print(error, file=sys.stderr)
        return None


def carried_out(what: str, settings: Settings, work: Callable[[list[int]], int | None]) -> int:
    """Do the work of a command: one line a step on the terminal, and one paragraph where it fails.

    Args:
        what: What it is, in a word.
        settings: Where the store is.
        work: Takes the signals that arrive; returns the exit status, None for a good end.

    Returns:
        The exit status.
    """
    shut_to_others()
    terminal.quiet_prefect()
    with terminal.lines(), noted_signals() as received:
        try:
            return work(received) or DONE
        except Stopped as stopped:
            print(f"\nThe {what} was {stopped}. What is finished is kept, the next run goes on there.", file=sys.stderr)
            return stopped.exit_status
        except Exception as error:
            terminal.tell_failure(error, Path(settings.store.path) / "logs", what=what)
            if isinstance(error, ServerLost):
                leave(FAILED)  # Prefect has threads that would still wait for it
            return FAILED


def in_prefect(
    workspace: Workspace,
    received: list[int],
    work: Callable[[Callable[[str], object]], T],
    afterwards: Callable[[str], object] = lambda run: None,
) -> T:
    """Run a flow until it ends or a signal stops it, with a Prefect server where none is named.

    Args:
        workspace: The folders of the build.
        received: Signals, as they arrive.
        work: Runs the flow; is given what to call with the flow run's id when it begins.
        afterwards: Called with the id of each run that began, however it ended, while the server is there.

    Returns:
        What the work returns.

    Raises:
        Stopped: A signal came.
        ServerNotReached: The server that the user named is not there.
        ServerNotStarted: There is none, and none could be started.
        ServerFailed: It did not do its work while the flow ran, for want of space for example.
        ServerLost: It stopped answering.
        Exception: What the work raised.
    """
    # Imported late: Prefect takes seconds, and what was wrong so far should not have waited for it.
    from flows.engine import mark_cancelled, prefect_in, pulse_of_server

    runs: list[str] = []

    def farewell() -> None:
        for run in runs:
            mark_cancelled(run)

    with prefect_in(workspace) as server, pulse_of_server() as pulse:

        def started() -> T:
            if server is not None:
                server.wait()
            return work(runs.append)

        try:
            spared = () if server is None else (server.pid,)
            return run_until_stopped(started, received, spared=spared, farewell=farewell, lost=pulse.lost)
        finally:
            for run in runs:
                afterwards(run)


def _build(settings: Settings, received: list[int], *, explain: bool) -> None:
    workspace = prepare(settings)

    def work(started: Callable[[str], object]) -> PublishedRelease:
        from flows.build import build
        from flows.engine import announcing

        return announcing(build, started)(settings)

    def explained(run: str) -> None:
        from flows.summary import print_explanation

        if explain:
            print_explanation(workspace, run)

    release = in_prefect(workspace, received, work, explained)
    from flows.summary import print_summary

    print_summary(release, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.build", description="Turn CenterNet weights into validated bmodels."
    )
    add_settings(parser)
    parser.add_argument("--explain", action="store_true", help="tell for each step whether it was made, and why")
    parser.add_argument(
        "--settings", action="store_true", help="print the effective settings and where each comes from, and stop"
    )
    return parser
