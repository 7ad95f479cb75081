"""From an output as the chip stores it to the float32 numbers that it stands for.

A head tensor of float16 is half, one of int8 a quarter of the bytes that come over from the chip; what that saves must
not be lost in converting them. numpy's own conversion of float16 takes ten times as long as copying them does, OpenCV's
uses the processor's instruction for it.
"""

from __future__ import annotations

import cv2
import numpy as np

from inference.errors import ModelError

SCALED = ("int8", "uint8", "int32")
"""Integers, which stand for their value times the output's scale."""

_NOTHING = np.full(4, -0.0)
"""A scalar in OpenCV's sense. 0.0 would do, but that turns -0.0 into 0.0."""


def real_numbers(stored: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Turn an output into real numbers.

    Args:
        stored: [..., w] of float32, float16, int8, uint8 or int32.
        scale: What an integer is multiplied by; means nothing for the others.

    Returns:
        float32 of the same shape: floats exactly, NaN and infinities included, so that they are found later;
        integers as float32 times float32. It is ``stored`` itself where that is float32.

    Raises:
        ModelError: The dtype is another.
    """
    if stored.dtype == np.float32:
        return stored
    if stored.dtype == np.float16:
        return _widened(np.ascontiguousarray(stored).reshape(-1, stored.shape[-1])).reshape(stored.shape)
    if stored.dtype.name not in SCALED:
        raise ModelError(f"the output is {stored.dtype}; expected float32, float16 or {', '.join(SCALED)}")
    numbers = stored.astype(np.float32)
    numbers *= np.float32(scale)
    return numbers


def _widened(halves: np.ndarray) -> np.ndarray:
    """float16 [n, w] as float32."""
    convert = getattr(cv2, "convertFp16", None)  # OpenCV 3 and 4, whose arithmetic does not take float16
    if convert is not None:
        return np.asarray(convert(halves.view(np.int16)))
    return np.asarray(cv2.add(halves, _NOTHING, dtype=cv2.CV_32F))
