"""The engines that run a bmodel, behind one protocol (`inference.engines.base`)."""

from __future__ import annotations

ENGINE_NAMES = ("auto", "sail", "simulator")
"""``auto`` takes what the machine has."""

WAYS = ("host", "bmcv")
"""What decodes and prepares images: OpenCV on the processor, or the vendor's BMCV on the chip (`inference.feeding`)."""
