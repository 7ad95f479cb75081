"""Write the notes of a release: python -m flows.release_notes [REF] [--output FILE.md]"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import BadReference
from artifacts.reference import Reference, parse_reference
from flows.command import WRONG_USAGE, add_settings, carried_out
from inference.output_files import check_writable, write_whole
from settings.errors import SettingsError
from settings.load import load_settings
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
    try:
        settings = load_settings(options.profile, overrides=options.set, environ=os.environ)
        reference = parse_reference(options.reference or f"oci:{settings.release.repository}")
    except (SettingsError, BadReference) as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
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
    sys.exit(run_release_notes(sys.argv[1:]))
