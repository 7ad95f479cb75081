"""Bmodels of any input and output type for the stand-in of sail, and the fixture that puts it in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np

from tests.artifacts.bmodel_files import Tab, assemble, flatbuffer, model_table, tensor

STAND_IN = Path(__file__).parent / "stand_in_sail"

FLOAT32, FLOAT16, INT8, UINT8 = 0, 1, 2, 3
"""Type codes of a bmodel."""


def sail_bmodel(
    *,
    chip: str = "BM1684X",
    batch: int = 1,
    side: int = 32,
    classes: int = 3,
    given: int = FLOAT32,
    given_scale: float = 1.0,
    given_zero: int = 0,
    made: int = FLOAT32,
    made_scale: float = 1.0,
    made_zero: int = 0,
    inputs: Sequence[str] = ("image",),
    stages: int = 1,
) -> bytes:
    """Return a built bmodel with an input of [batch, 3, side, side] and the head tensor as its output."""
    weights = b"weights!" * 16
    model: Any = model_table(weights, chip=chip)
    net: Tab = model[4][0]
    net[3][0][0] = [tensor(name, [batch, 3, side, side], given, given_scale, given_zero) for name in inputs]
    shape = [batch, classes + 4, side // 4, side // 4]
    net[3][0][1] = [tensor("heads", shape, made, made_scale, made_zero)]
    net[3] = net[3] * stages
    return assemble(flatbuffer(model), weights + bytes(512))


def write(path: Path, **what: Any) -> Path:
    model = path / "model.bmodel"
    model.write_bytes(sail_bmodel(**what))
    return model


def images(count: int, side: int = 32, dtype: type = np.float32) -> np.ndarray:
    values = np.random.default_rng(count).normal(0, 2, (count, 3, side, side))
    return values.astype(np.float32) if dtype is np.float32 else (values * 60 + 100).clip(0, 255).astype(dtype)
