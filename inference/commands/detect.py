"""``detect``: find objects in images."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.engines import ENGINE_NAMES

HELP = "find objects in images"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Find objects in an image or in the images of a folder. Writes each image with its detections drawn in, and "
        "detections.json in COCO's results format. Exit status: 0 done, 1 failed or some images were unreadable, "
        "2 wrong usage."
    )
    parser.add_argument("--model", required=True, type=Path, metavar="FOLDER|FILE", help="a release, or a bmodel in it")
    parser.add_argument("--input", required=True, type=Path, metavar="IMAGE|FOLDER", help="JPEG, PNG or BMP")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="made where it does not exist")
    parser.add_argument("--conf", type=score, default=0.35, metavar="SCORE", help="lowest score, 0 to 1 (%(default)s)")
    parser.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--chip", metavar="CHIP", help="only a model for BM1684, BM1684X or BM1688")
    parser.add_argument("--precision", metavar="PRECISION", help="only a model in fp32, fp16 or int8")


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        Whether all images could be read.

    Raises:
        InferenceError: It failed.
    """
    from inference.detect_command import detect

    return detect(options) == 0


def score(text: str) -> float:
    """Read a score threshold.

    Raises:
        argparse.ArgumentTypeError: It does not lie between 0 and 1.
        ValueError: It is no number.
    """
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value
