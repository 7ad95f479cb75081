"""The self-contained sample: generated scenes and a small network trained on them.

It shows the pipeline at work without a download; its accuracy says nothing about photographs.
"""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).with_name("weights.pth")
NETWORK = "dlav0_34"
WIDTH = 0.25
NUM_CLASSES = 80
INPUT_SIDE = 256
