"""Images that are prepared on the device, for an engine that takes them there."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np

from artifacts.release import PreprocessSpec
from inference.bmcv.device import Bmcv, NotDecoded
from inference.bmcv.geometry import affine_from_output, check_image, check_spec
from inference.engines.choose import EngineWish, choose_engine, sail_problem
from inference.engines.sail import Row, SailEngine
from inference.errors import OptionError
from inference.feeding import BMCV, Batch, Picture
from inference.images import check_header, decode_image, read_header
from inference.jpeg import JpegHeader

LOG = logging.getLogger(__name__)

# What libsophon's decoder is documented for (bmvid/document/bmcv, jpeg_decode.rst): YUV of 4:2:0, 4:2:2 and 4:4:4; gray
# comes out as one plane. Coded as its hardware does it: baseline, or extended of 8 bits, which adds tables alone.
_SEQUENTIAL = (0xC0, 0xC1)
_BITS = 8
_SAMPLING = frozenset((luma, (1, 1), (1, 1)) for luma in ((2, 2), (2, 1), (1, 1)))
# JFIF's identifiers of Y, Cb and Cr, and those that some encoders count from 0. Others may name R, G and B.
_YCBCR = ((1, 2, 3), (0, 1, 2))
_ADOBE_YCBCR = 1


class BmcvFeed:
    """Decodes plain JPEG files and prepares all images on the device.

    Attributes:
        name: ``bmcv``.
        not_decoded: How many images the device's decoder did not take, and the host decoded.
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
        self._counting = threading.Lock()
        self.not_decoded = 0

    def decode(self, data: bytes, path: Path) -> Picture:
        """Decode an image file's bytes: on the device what its decoder gives as the host's does, else on the host.

        Raises:
            ImageError: As of `inference.images.decode_image`, or the chip does not take an image of its size.
            EngineError: The device failed.
        """
        header = check_header(read_header(data, path), path)
        size = (header.height, header.width)
        # Turned or not: the model's input is square, so that a side is as good as the other.
        check_image(size, self._spec, self._engine.info.chip, path)
        if header.jpeg is None or not is_plain(header.jpeg):
            return decode_image(data, path)
        try:
            return self._bmcv.decode(data, size)
        except NotDecoded as error:
            # The host knows better whether the file is damaged or only unusual: it refuses what is damaged.
            image = decode_image(data, path)
            self._tell(error, path)
            return image

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
        return self._engine.run_placed(rows)

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

    def _tell(self, error: NotDecoded, path: Path) -> None:
        with self._counting:
            self.not_decoded += 1
            if self.not_decoded > 1:
                return
        LOG.warning(
            "the device's decoder does not take %s (%s): it is decoded on the host, and so are further ones without a "
            "word; dmesg may say more",
            path,
            error,
        )


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
        why = "the simulator is none" if wish.name == "simulator" else f"no device can be used here: {sail_problem()}"
        raise OptionError(f"only a device prepares images by bmcv, and {why}. Leave --preprocess at host")
    engine = SailEngine(bmodel, device=wish.device, chip=chip, placed=True)
    try:
        return engine, BmcvFeed(engine, spec)
    except BaseException:
        engine.close()
        raise


def is_plain(jpeg: JpegHeader) -> bool:
    """Whether the device's decoder is documented for a JPEG, and gives what the host's does.

    Args:
        jpeg: What it says about itself. One that may be shown turned is not: the decoder may not heed EXIF.
    """
    return (
        jpeg.frame in _SEQUENTIAL
        and jpeg.bits == _BITS
        and jpeg.scans == 1
        and jpeg.ids in _YCBCR
        and jpeg.transform in (None, _ADOBE_YCBCR)
        and jpeg.sampling in _SAMPLING
        and not jpeg.turned
    )
