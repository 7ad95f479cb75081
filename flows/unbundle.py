"""Unpack a bundle where there is no environment yet: python3 -m flows.unbundle FILE --to FOLDER"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import ArtifactError
from flows.stopping import Stopped, ended_by_signals
from tasks.bundle.manifest import this_host
from tasks.bundle.unpack import unpack
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
            done = unpack(options.file, options.to, options.kind, this_host())
    except Stopped as stopped:
        print(f"The unpacking was {stopped}. What is proven is kept, the next run goes on there.", file=sys.stderr)
        return stopped.exit_status
    except (BundleError, ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    total, size = len(done.manifest.files), sum(one.size for one in done.manifest.files)
    print(
        f"{options.file}: profile {done.manifest.profile}, {total} files, {size / 1e9:.1f} GB, all as they were "
        f"packed; {done.written} written to {options.to}"
    )
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.unbundle", description="Check and unpack a bundle.")
    parser.add_argument("file", type=Path, metavar="FILE", help="what `make bundle` or `make device-bundle` wrote")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="new, empty, or an unpacked bundle")
    parser.add_argument("--kind", choices=("build", "device"), default="build", help="what it is for (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run_unbundle(sys.argv[1:]))
