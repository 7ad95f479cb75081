"""Write the notes of a release: python -m flows.release_notes [REF] [--output FILE.md]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.reference import Reference
from artifacts.standard_output import ended
from flows.command import WRONG_USAGE, add_settings, carried_out, release_of
from inference.output_files import check_writable, write_whole
from tasks.notes.text import notes
from tasks.released import read_released


def run_release_notes(argv: Sequence[str]) -> int:
    """Write the notes of a release as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    asked = release_of(options)
    if asked is None:
        return WRONG_USAGE
    settings, reference = asked
    return carried_out("writing of the notes", settings, lambda received: _write(reference, options.output))


def _write(reference: Reference, output: Path | None) -> None:
    if output is None:
        print(notes(read_released(reference)), end="")
        return
    check_writable(output)
    write_whole(output, notes(read_released(reference)).encode())
    print(f"the notes of {reference} are in {output}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.release_notes",
        description="Write a release's models, accuracy and times in the tables of the vendor's README, beside the "
        "vendor's own numbers, each with its protocol and how it was obtained.",
    )
    parser.add_argument(
        "reference", nargs="?", metavar="REF", help="oci:FOLDER:TAG or host/repository:tag (the profile's release)"
    )
    add_settings(parser)
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="where to write them (the terminal)")
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_release_notes, sys.argv[1:]))
