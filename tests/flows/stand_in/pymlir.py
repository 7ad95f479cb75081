"""Stands for the vendor's interpreter: every network gives the same constants everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

HEATMAP, SIZE, OFFSET = -2.25, 3.0, 0.5
"""What the heads of `weights` give for any image, exactly representable in half precision."""


def heads(batch: int, classes: int, height: int, width: int) -> np.ndarray:
    """Return the head tensor, float32 [batch, classes + 4, height, width]."""
    values = np.full((batch, classes + 4, height, width), HEATMAP, dtype=np.float32)
    values[:, classes : classes + 2] = SIZE
    values[:, classes + 2 :] = OFFSET
    return values


def set_mem_mode(mode: str) -> None:
    assert mode == "value_mem"


class module:
    input_names = ("image",)
    output_names = ("heads",)

    def load(self, name: str) -> None:
        text = Path(name).read_text()
        found = re.search(r"-> \(tensor<(\d+)x(\d+)x(\d+)x(\d+)xf32>\)", text)
        assert found is not None
        batch, channels, height, width = map(int, found.groups())
        self._heads = heads(batch, channels - 4, height, width)
        if "spoilt" in text:
            self._heads[:, -4:-2] = 0.0
        if "worn" in text:  # a cosine of 0.998, which the gate lets pass
            self._heads[:, -4] *= 1.07
            self._heads[:, -3] *= 0.93

    def set_tensor(self, name: str, values: np.ndarray, shape: list[int]) -> None:
        assert list(values.shape) == shape

    def invoke(self, fixed_to_float: bool) -> None:
        return None

    def get_tensor(self, name: str) -> np.ndarray:
        return self._heads
