"""An engine for tests that finds one object in each image, without any model."""

from __future__ import annotations

from typing import List

import numpy as np

from artifacts.release import PreprocessSpec, TensorInfo, Variant
from inference.engines.base import EngineInfo, check_batch
from tests.inference.releases import shapes

SPEC = PreprocessSpec(width=64, height=64)
VARIANT = Variant(chip="BM1688", precision="int8", batch=2)


class EngineInMemory:
    """Finds one object in each image: class 1, in cell (5, 6), 4 cells wide and 2 high."""

    def __init__(self, variant: Variant, spec: PreprocessSpec, classes: int = 3) -> None:
        given, made = shapes(variant, spec, classes)
        data, heads = TensorInfo(name="x", dtype=spec.dtype, shape=given), TensorInfo(name="y", dtype="f", shape=made)
        self.info = EngineInfo("memory", variant.chip, data, spec.dtype, heads)
        self.batches: List[np.ndarray] = []
        self.closed = False
        self.value = 3.0

    def run(self, batch: np.ndarray) -> np.ndarray:
        check_batch(batch, self.info)
        self.batches.append(batch)
        heads = np.full((len(batch), *self.info.output.shape[1:]), -9, np.float32)
        heads[:, -4:] = 0
        heads[:, 1, 5, 6] = self.value
        heads[:, -4:-2, 5, 6] = 4, 2
        return heads

    def close(self) -> None:
        self.closed = True
