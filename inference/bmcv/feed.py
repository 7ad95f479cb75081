"""Images that are prepared on the device, for an engine that takes them there."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np

from artifacts.release import PreprocessSpec
from inference.bmcv.device import Bmcv, Row
from inference.bmcv.geometry import affine_from_output, check_image, check_spec
from inference.engines.choose import EngineWish, choose_engine
from inference.engines.sail import SailEngine
from inference.errors import OptionError
from inference.feeding import BMCV, Batch, Picture
from inference.images import check_header, decode_image, read_header

_TURNED = (b"\x12\x01\x03\x00\x01\x00\x00\x00", b"\x01\x12\x00\x03\x00\x00\x00\x01")
"""The EXIF entry of the orientation up to its value, little and big endian (EXIF 2.3, 4.6.2 and 4.6.4, tag 274)."""

_EXIF_WITHIN = 1 << 17


class BmcvFeed:
    """Decodes plain JPEG files and prepares all images on the device.

    Attributes:
        name: ``bmcv``.
    """

    name = BMCV

    def __init__(self, engine: SailEngine, spec: PreprocessSpec) -> None:
        """Get ready.

        Args:
            engine: The engine, opened for inputs that are placed.
            spec: What the model expects.

        Raises:
            OptionError: The model's input is not square.
            EngineError: The device does not answer, or its sail has no BMCV.
        """
        check_spec(spec)
        self._engine = engine
        self._spec = spec
        self._bmcv = Bmcv(engine.device, spec, engine.info.input)

    def decode(self, data: bytes, path: Path) -> Picture:
        """Decode an image file's bytes: on the device what its decoder gives as the host's does, else on the host.

        Raises:
            ImageError: As of `inference.images.decode_image`.
            EngineError: The device failed.
        """
        header = check_header(read_header(data, path), path)
        if header.format == "JPEG" and header.scans == 1 and header.channels == 3 and not is_turned(data):
            return self._bmcv.decode(data, (header.height, header.width), path)
        return decode_image(data, path)

    def begin(self, count: int) -> Batch:
        """See `inference.feeding.Feed.begin`."""
        return _DeviceBatch(self, count)

    def affine(self, image_size: Tuple[int, int]) -> np.ndarray:
        """See `inference.feeding.Feed.affine`: the way back from where BMCV puts the image."""
        return affine_from_output(image_size, self._spec)

    def prepare(self, picture: Picture) -> Row:
        """Prepare an image on the device.

        Raises:
            ImageError: The chip does not take an image of its size, or it is none.
            EngineError: The device failed.
        """
        check_image((picture.shape[0], picture.shape[1]), self._spec, self._engine.info.chip)
        return self._bmcv.prepare(picture)

    def run(self, rows: Sequence[Row]) -> np.ndarray:
        """Run the model on images that are prepared."""
        return self._engine.run_placed([row.tensor for row in rows])

    def values(self, row: Row) -> np.ndarray:
        """What the model will see of an image, in real numbers.

        Returns:
            float32 [3, H, W], or uint8 where the model takes raw pixels.

        Raises:
            EngineError: The device failed.
        """
        stored, given = self._bmcv.values(row)[0], self._engine.info.input
        if given.dtype == "float32" or self._spec.fused:
            return np.asarray(stored)
        return np.asarray(stored / np.float32(given.scale), np.float32)

    def close(self) -> None:
        """Free what it holds. May be called twice."""
        self._bmcv.close()


class _DeviceBatch:
    def __init__(self, feed: BmcvFeed, count: int) -> None:
        self._feed = feed
        self._rows: List[Optional[Row]] = [None] * count

    def fill(self, row: int, picture: Picture) -> None:
        self._rows[row] = self._feed.prepare(picture)

    def run(self, rows: Sequence[int]) -> np.ndarray:
        return self._feed.run([row for row in (self._rows[number] for number in rows) if row is not None])


def open_bmcv(bmodel: Path, chip: Optional[str], spec: PreprocessSpec, wish: EngineWish) -> Tuple[SailEngine, BmcvFeed]:
    """Load a model onto a device that prepares its images too.

    Args:
        bmodel: The compiled file.
        chip: The chip that it has to be for; None takes the one that it names.
        spec: What the model expects.
        wish: Which device.

    Raises:
        OptionError: No device runs the model, or its input is not square.
        EngineNotFound: This machine has no engine.
        ModelError: The file is missing or damaged, is for another chip, or is no CenterNet of ours.
        EngineError: The device does not answer, or its sail has no BMCV.
    """
    check_spec(spec)
    if choose_engine(wish) != "sail":
        raise OptionError(
            "only a device prepares images by bmcv, and the simulator is none: leave --preprocess at host"
        )
    engine = SailEngine(bmodel, device=wish.device, chip=chip, placed=True)
    try:
        return engine, BmcvFeed(engine, spec)
    except BaseException:
        engine.close()
        raise


def is_turned(data: bytes) -> bool:
    """Whether a JPEG may be shown turned by its EXIF orientation; a device's decoder may not heed that.

    Args:
        data: The bytes of the file.
    """
    head = data[:_EXIF_WITHIN]
    for start, little in zip(_TURNED, (True, False)):
        place = head.find(start)
        if place >= 0:
            value = head[place + len(start) : place + len(start) + 2]
            return int.from_bytes(value, "little" if little else "big") != 1
    return False
