"""The arguments that say which model is run, and on what."""

from __future__ import annotations

import argparse

from inference.engines import ENGINE_NAMES


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add them: ``model``, ``engine``, ``device``, ``chip``, ``precision`` and ``batch``."""
    parser.add_argument(
        "--model",
        metavar="REF|FOLDER|FILE.bmodel",
        help="a pulled release, a release's folder, or a bmodel in one (the release that is in use on this device)",
    )
    parser.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--device", type=int, default=0, metavar="N", help="which TPU, as bm-smi numbers them")
    parser.add_argument("--chip", metavar="CHIP", help="only a model for BM1684, BM1684X or BM1688")
    parser.add_argument("--precision", metavar="PRECISION", help="only a model in fp32, fp16 or int8")
    parser.add_argument("--batch", type=positive, metavar="N", help="only a model that takes N images at once")


def positive(text: str) -> int:
    """Read a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: It is less.
        ValueError: It is no number.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
