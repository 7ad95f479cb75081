"""``bench``: how long each stage takes for an image."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.commands.which_model import add_model, positive

HELP = "measure how long each stage takes for an image"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Run a model on full batches and print median and 95th percentile of the times for preprocessing, inference "
        "and decoding. Exit status: 0 done, 1 failed, 2 wrong usage."
    )
    add_model(parser)
    parser.add_argument("--input", type=Path, metavar="IMAGE|FOLDER", help="images to use (generated ones)")
    parser.add_argument("--images", type=positive, default=200, metavar="N", help="measure N images (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="or as many as S seconds allow (%(default)g)"
    )
    parser.add_argument("--warm-up", type=int, default=2, metavar="N", help="calls that are not measured (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into a file too")


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        True.

    Raises:
        InferenceError: It failed.
        ArtifactError: The model's name is malformed, or the device store is damaged.
    """
    from inference.bench import bench

    bench(options)
    return True
