"""The command line of the device side: ``python -m inference``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from inference.engines import ENGINE_NAMES
from inference.errors import InferenceError, OptionError

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes this process's own.

    Returns:
        The exit status: 0 done, 1 failed with the reason on standard error, 2 wrong usage.
    """
    options = _parser().parse_args(arguments)
    # Imported here, so that --help and usage errors need neither OpenCV nor pydantic.
    from inference.detect_command import detect

    try:
        return FAILED if detect(options) else DONE
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, OptionError) else FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference", description="CenterNet on SOPHON devices, or on their simulator."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    detect = commands.add_parser(
        "detect",
        help="find objects in images",
        description="Find objects in an image or in the images of a folder. Writes each image with its detections "
        "drawn in, and detections.json in COCO's results format. Exit status: 0 done, 1 failed or some images were "
        "unreadable, 2 wrong usage.",
    )
    detect.add_argument("--model", required=True, type=Path, metavar="FOLDER|FILE", help="a release, or a bmodel in it")
    detect.add_argument("--input", required=True, type=Path, metavar="IMAGE|FOLDER", help="JPEG, PNG or BMP")
    detect.add_argument("--output", required=True, type=Path, metavar="DIR", help="made where it does not exist")
    detect.add_argument("--conf", type=_score, default=0.35, metavar="SCORE", help="lowest score, 0 to 1 (%(default)s)")
    detect.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the model (%(default)s)")
    detect.add_argument("--chip", metavar="CHIP", help="only a model for BM1684, BM1684X or BM1688")
    detect.add_argument("--precision", metavar="PRECISION", help="only a model in fp32, fp16 or int8")
    return parser


def _score(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
