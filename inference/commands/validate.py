"""``validate``: how accurate a model is on this device."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.commands.which_model import add_model, positive

HELP = "measure a model's accuracy on annotated images"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Run a model on annotated images, compute COCO's average precision by the protocol of its release, and compare "
        "it with the release's own where data set and protocol are the same. Exit status: 0 done, 1 failed or some "
        "images were unreadable, 2 wrong usage."
    )
    add_model(parser)
    parser.add_argument("--images", required=True, type=Path, metavar="FOLDER", help="where the images lie")
    parser.add_argument("--annotations", required=True, type=Path, metavar="FILE.json", help="in COCO's layout")
    parser.add_argument(
        "--protocol", metavar="NAME", help="coco, or sophon-demo as the vendor states AP (the release's own)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N images by id")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write the numbers into a file too")
    parser.add_argument("--detections", type=Path, metavar="FILE.json", help="write COCO results JSON")


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        Whether all images could be read.

    Raises:
        InferenceError: It failed.
        ArtifactError: The model's name is malformed, or the device store is damaged.
    """
    from inference.validate import validate

    return not validate(options).unreadable
