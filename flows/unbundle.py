"""Unpack a bundle for a build where there is no environment yet: python3 -m flows.unbundle FILE --to FOLDER"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.standard_output import ended
from flows.stopping import Stopped, ended_by_signals
from tasks.bundle.manifest import this_host
from tasks.bundle.unpack import Unpacked, unpack
from tasks.errors import BundleError

DONE, FAILED = 0, 1


def run_unbundle(argv: Sequence[str]) -> int:
    """Run the command. Needs nothing but Python itself.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    try:
        with ended_by_signals():
            done = unpack(options.file, options.to, "build", this_host())
    except Stopped as stopped:
        print(f"The unpacking was {stopped}. What is proven is kept, the next run goes on there.", file=sys.stderr)
        return stopped.exit_status
    except (BundleError, ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(_told(done, options.file, options.to))
    return DONE


def _told(done: Unpacked, file: Path, folder: Path) -> str:
    total, size = len(done.manifest.files), sum(one.size for one in done.manifest.files)
    said = f"{file}: profile {done.manifest.profile}, {total} files, {size / 1e9:.1f} GB, as its list says: "
    said += f"{done.read} read from it and written to {folder}"
    kept = total - done.read
    # Of those the bundle may be damaged: their bytes there were not looked at.
    return f"{said}, {kept} were there already and not read from it again" if kept else said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.unbundle", description="Check and unpack a bundle for a build."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what `make bundle` wrote")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="new, empty, or an unpacked bundle")
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_unbundle, sys.argv[1:]))
