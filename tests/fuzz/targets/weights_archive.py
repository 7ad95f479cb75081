"""`tasks.toolchain.float_weights`: the compiler's weights as an archive of arrays."""

from __future__ import annotations

import io
import zipfile  # noqa: F401  NumPy imports it too late for the fuzzer to see it
from collections.abc import Iterator

import numpy as np

from tasks.errors import GraphError
from tasks.toolchain.float_weights import without_subnormals
from tests.fuzz.places import written


def target(data: bytes) -> None:
    """Change one array."""
    try:
        without_subnormals(written("weights.npz", data), ["weight"])
    except GraphError:
        return


def seeds() -> Iterator[bytes]:
    """Archives, packed and not."""
    arrays = {"weight": np.linspace(-1, 1, 16, dtype=np.float32), "bias": np.zeros(4, np.float32)}
    for save in (np.savez, np.savez_compressed):
        packed = io.BytesIO()
        save(packed, **arrays)
        yield packed.getvalue()
