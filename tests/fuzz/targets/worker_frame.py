"""`inference.engines.worker_main.read_frame`: what comes through the pipe of the compiler's process, or goes to it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from inference.engines.worker_main import frame_parts, read_frame


def target(data: bytes) -> None:
    """Read one frame."""
    stream = io.BytesIO(data)

    def read(count: int) -> bytes:
        found = stream.read(count)
        if len(found) < count:
            raise EOFError
        return found

    try:
        read_frame(read)
    except (EOFError, ValueError):
        return


def seeds() -> Iterator[bytes]:
    """Frames with and without arrays."""
    arrays = {"batch": np.zeros((1, 3, 2, 2), np.float32), "raw": np.ones((2, 2), np.uint8)}
    yield b"".join(map(bytes, frame_parts({"kind": "run"}, arrays)))
    yield b"".join(
        map(bytes, frame_parts({"kind": "ready", "inputs": [{"name": "x", "shape": [1], "dtype": "uint8"}]}, {}))
    )
