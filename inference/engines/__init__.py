"""The engines that run a bmodel, behind one protocol (`inference.engines.base`)."""

from __future__ import annotations

ENGINE_NAMES = ("auto", "sail", "simulator")
"""``auto`` takes what the machine has."""
