"""Remove what nothing needs any more: python -m flows.clean_store [--yes] [--older-than DAYS] [--forget VERSION]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from artifacts.errors import ArtifactError
from artifacts.standard_output import ended
from flows import terminal
from flows.cleaning import clean_up, look
from flows.command import DONE, FAILED, WRONG_USAGE, add_settings, settings_of
from settings.model import Settings
from tasks.housekeeping.plan import told


def run_clean(argv: Sequence[str], ask: Callable[[str], str] | None = None) -> int:
    """Run the cleaning as a command.

    Args:
        argv: Arguments without the program's name.
        ask: Puts a question and returns the answer; None where nobody is there to answer.

    Returns:
        0 done, 1 failed or not all done, 2 wrong usage.
    """
    options = _parser().parse_args(argv)
    settings = settings_of(options)
    if settings is None:
        return WRONG_USAGE
    terminal.quiet_prefect()
    with terminal.lines():
        try:
            return _clean(settings, options, ask)
        except (ArtifactError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED


def _clean(settings: Settings, options: argparse.Namespace, ask: Callable[[str], str] | None) -> int:
    plan = look(settings, days=options.older_than, forgotten=options.forget)
    print(told(plan, every=options.list))
    if options.dry_run or not (plan.items or plan.forgotten):
        return DONE
    if not options.yes:
        if ask is None:
            print("nothing was removed; add --yes to do it (make clean-store ARGS=--yes)")
            return DONE
        if ask("remove all this? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return DONE
    done = clean_up(settings, days=options.older_than, forgotten=options.forget, agreed=plan)
    print(done.told())
    return DONE if done.whole else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.clean_store",
        description="Say what no release, no channel and no recent run needs any more, and remove it with --yes.",
    )
    add_settings(parser)
    agreement = parser.add_mutually_exclusive_group()
    agreement.add_argument("--yes", action="store_true", help="remove it, without a question")
    agreement.add_argument("--dry-run", action="store_true", help="only say what would be removed, without a question")
    parser.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="what was written within so many days stays (keep.days)"
    )
    parser.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="VERSION",
        help="remove this version from the registry too, with its signature and evidence; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="name each thing")
    return parser


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 0 to 36500")
    return days


def _question() -> Callable[[str], str] | None:
    return input if sys.stdin.isatty() and sys.stdout.isatty() else None


if __name__ == "__main__":
    sys.exit(ended(run_clean, sys.argv[1:], _question()))
