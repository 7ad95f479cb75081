"""``detect``: find objects in images, videos and streams."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.commands.which_model import add_model, positive

HELP = "find objects in images, videos and streams"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Find objects in an image, the images of a folder, a video, a camera or a network stream. Writes pictures or a "
        "video with the detections drawn in, and detections.json in COCO's results format (of a video, image_id is the "
        "number of the frame, from 1); without --output it prints what it finds. Ctrl-C keeps what was found before. "
        "Exit status: 0 done, 1 failed or some images were unreadable, 2 wrong usage."
    )
    parser.add_argument(
        "--input",
        required=True,
        metavar="IMAGE|FOLDER|VIDEO|camera:N|rtsp://...",
        help="JPEG, PNG or BMP; any video that OpenCV reads; /dev/video0; http:// and other streams",
    )
    add_model(parser)
    parser.add_argument("--output", type=Path, metavar="DIR", help="made where it does not exist")
    parser.add_argument("--no-pictures", action="store_true", help="write only JSON into --output")
    parser.add_argument("--vendor-json", action="store_true", help="write the format of the vendor's samples too")
    parser.add_argument("--limit", type=positive, metavar="N", help="look at the first N images or frames only")
    parser.add_argument("--conf", type=score, default=0.35, metavar="SCORE", help="lowest score, 0 to 1 (%(default)s)")
    parser.add_argument(
        "--match-fp32",
        action="store_true",
        help="take --conf as a score of fp32: this model's that finds as many objects",
    )


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
