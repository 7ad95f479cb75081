"""The command line of the device side: ``python -m inference``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Dict, List, Optional

from artifacts.environment import shut_to_others
from artifacts.standard_output import ended
from inference.commands import bench, detect, doctor, pull, releases, rollback, validate

DONE, FAILED, WRONG_USAGE = 0, 1, 2

COMMANDS: Dict[str, ModuleType] = {
    "detect": detect,
    "pull": pull,
    "releases": releases,
    "rollback": rollback,
    "validate": validate,
    "bench": bench,
    "doctor": doctor,
}


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes this process's own.

    Returns:
        The exit status: 0 done, 1 failed with the reason on standard error, 2 wrong usage.
    """
    options = _parser().parse_args(arguments)
    shut_to_others()
    # Imported here, so that --help and usage errors need neither OpenCV nor pydantic.
    from artifacts.errors import ArtifactError
    from artifacts.files import disk_trouble
    from inference.errors import InferenceError, OptionError

    try:
        return DONE if COMMANDS[options.command].run(options) else FAILED
    except (InferenceError, ArtifactError) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, OptionError) else FAILED
    except OSError as error:
        # Also what is written beside the results, such as a simulator's log among the temporary files.
        found = disk_trouble(error, Path.cwd())
        if found is None:
            raise
        print(f"error: {found}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference", description="CenterNet on SOPHON devices, or on their simulator."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        module.configure(commands.add_parser(name, help=module.HELP))
    return parser


if __name__ == "__main__":
    sys.exit(ended(main))
