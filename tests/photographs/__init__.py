"""Photographs: a network with trained activations on real images, trained when asked for and never shipped.

It is fitted to the very photographs that it is then measured on, so that its AP is a test of the pipeline and tells
nothing of the detector.
"""

from __future__ import annotations

from pathlib import Path

from tests.conftest import COCO_MINI

PROFILE = Path(__file__).with_name("photographs.toml")
OUTPUT = Path("build/photographs")
INPUT_SIDE = 256

__all__ = ["COCO_MINI", "INPUT_SIDE", "OUTPUT", "PROFILE"]
