"""How images get into an engine: prepared on the host, or on the device (`inference.bmcv.feed`)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Sequence, Tuple, Union

import numpy as np

from artifacts.release import PreprocessSpec
from inference.engines import WAYS
from inference.engines.base import Engine
from inference.images import decode_image
from inference.preprocess import CHANNELS, affine_from_output, preprocess

HOST, BMCV = WAYS


class DevicePicture(Protocol):
    """An image that lies on the device."""

    @property
    def shape(self) -> Tuple[int, ...]:
        """(height, width, 3), as an array has it."""

    def pixels(self) -> np.ndarray:
        """Bring it over: uint8 [H, W, 3], BGR."""


Picture = Union[np.ndarray, DevicePicture]
"""uint8 [H, W, 3] in BGR order, or an image that lies on the device."""


class Batch(Protocol):
    """Images on their way into the engine; rows are filled by any threads, and run by one."""

    def fill(self, row: int, picture: Picture) -> None:
        """Prepare an image.

        Raises:
            ImageError: It is no such image, or cannot be prepared in this way.
            EngineError: The device failed.
        """

    def run(self, rows: Sequence[int]) -> np.ndarray:
        """Run the model on these rows, which are filled: float32 [N, C + 4, h, w]."""


class Feed(Protocol):
    """One way in."""

    @property
    def name(self) -> str:
        """One of WAYS."""

    def decode(self, data: bytes, path: Path) -> Picture:
        """Decode an image file's bytes; see `inference.images.decode_image`."""

    def begin(self, count: int) -> Batch:
        """Make room for so many images."""

    def affine(self, image_size: Tuple[int, int]) -> np.ndarray:
        """The map from output cells to the pixels of an image of (height, width): float64 [2, 3]."""

    def close(self) -> None:
        """Free what it holds, but not the engine. May be called twice."""


class HostFeed:
    """Prepares images by `inference.preprocess`, for any engine."""

    name = HOST

    def __init__(self, engine: Engine, spec: PreprocessSpec) -> None:
        self._engine = engine
        self._spec = spec

    def decode(self, data: bytes, path: Path) -> np.ndarray:
        """See `Feed.decode`."""
        return decode_image(data, path)

    def begin(self, count: int) -> Batch:
        """See `Feed.begin`."""
        return _HostBatch(self._engine, self._spec, count)

    def affine(self, image_size: Tuple[int, int]) -> np.ndarray:
        """See `Feed.affine`."""
        return affine_from_output(image_size, self._spec)

    def close(self) -> None:
        """Do nothing."""


class _HostBatch:
    def __init__(self, engine: Engine, spec: PreprocessSpec, count: int) -> None:
        self._engine = engine
        self._spec = spec
        self._tensors = np.empty((count, CHANNELS, spec.height, spec.width), dtype=spec.dtype)

    def fill(self, row: int, picture: Picture) -> None:
        preprocess(on_host(picture), self._spec, out=self._tensors[row])

    def run(self, rows: Sequence[int]) -> np.ndarray:
        return self._engine.run(self._tensors if len(rows) == len(self._tensors) else self._tensors[rows])


def on_host(picture: Picture) -> np.ndarray:
    """The pixels of a picture: itself, or brought over from the device."""
    return picture if isinstance(picture, np.ndarray) else picture.pixels()
