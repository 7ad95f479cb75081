"""Move a channel to a release: python -m flows.promote REF --channel stable [--key FILE] [--expires DAYS]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from artifacts.layout_tags import CHANNELS
from artifacts.reference import parse_reference
from artifacts.signing import load_keys
from artifacts.standard_output import ended
from artifacts.statements import MAX_SERIAL
from flows.signing import add_keys, add_reference, place_at, run, signers_of
from tasks.signing import promote


def run_promote(argv: Sequence[str]) -> int:
    """Let a channel mean a release that passed its gate; see `flows.signing.run`."""
    return run(_parser(), _promote, argv)


def _promote(options: argparse.Namespace) -> str:
    reference, signers = parse_reference(options.reference), signers_of(options.key)
    trusted = [key for path in options.keys for key in load_keys(path)]
    valid = None if options.expires is None else timedelta(days=options.expires)
    with place_at(reference) as place:
        done = promote(
            [place],
            reference.name,
            options.channel,
            signers=signers,
            trusted=trusted,
            valid=valid,
            at_least=options.serial,
            now=datetime.now(UTC),
        )
    release = f"{done.subject.record.name} {done.subject.record.version} {done.subject.digest}"
    if done.serial is None:
        return f"{options.channel} is {release}, unsigned: devices with pinned keys do not take it from this channel"
    return f"{options.channel} is {release}, serial {done.serial}{'' if done.changed else ' as before'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.promote",
        description="Move a channel to a release that passed its gate. Going back is the same with an older release.",
    )
    add_reference(parser)
    parser.add_argument("--channel", required=True, choices=CHANNELS)
    add_keys(parser, required=False)
    parser.add_argument(
        "--keys",
        type=Path,
        action="append",
        default=[],
        metavar="FILE|DIR",
        help="public keys that are believed as well, such as the one before a change of keys",
    )
    parser.add_argument(
        "--expires", type=_between(1, 36500), metavar="DAYS", help="how long the record is good (for ever)"
    )
    parser.add_argument(
        "--serial", type=_between(1, MAX_SERIAL), metavar="N", help="smallest serial, when the last record was lost"
    )
    return parser


def _between(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text[:20]) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low} to {high}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(ended(run_promote, sys.argv[1:]))
