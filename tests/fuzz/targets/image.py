"""`inference.images` and `tasks.images`: photographs from anywhere. What is decoded has the size that was checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.bmcv.feed import is_plain
from inference.errors import ImageError
from inference.images import decode_image, read_header
from tasks.errors import BadImage
from tasks.image_facts import Candidate, measure
from tasks.images import decode_checked
from tests.fuzz.places import written
from tests.tasks.image_files import cmyk_jpeg, flat_png, scene, with_exif

MOST_PIXELS = 1 << 20
_NAME = Path("a.jpg")


def target(data: bytes) -> None:
    """Decode it as the device does and as the build does, and measure it."""
    try:
        image = decode_image(data, max_pixels=MOST_PIXELS)
    except ImageError as error:
        # OpenCV turns what it could not get into an error like any other.
        assert "memory" not in str(error.__cause__).lower(), str(error.__cause__)
        return
    header = read_header(data)
    assert sorted(image.shape[:2]) == sorted((header.width, header.height)), (image.shape, header)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    if header.jpeg is not None and is_plain(header.jpeg):  # a device's decoder gets it, and knows no EXIF
        assert image.shape[:2] == (header.height, header.width), (image.shape, header)
    try:
        decode_checked(data, _NAME)
        measure(Candidate("a.jpg", written("a.jpg", data)))
    except BadImage:
        return


def seeds() -> Iterator[bytes]:
    """Every kind that is read, and what occurs in them."""
    small = scene(1, width=80, height=66)
    for suffix, options in (
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", []),
        (".bmp", []),
    ):
        yield cv2.imencode(suffix, small, options)[1].tobytes()
    yield with_exif(cv2.imencode(".jpg", small)[1].tobytes(), orientation=6, thumbnail=b"\xff\xd8\xff\xd9")
    yield cv2.imencode(".png", small.astype(np.uint16) * 256)[1].tobytes()
    yield cv2.imencode(".png", np.dstack([small, small[..., 0]]))[1].tobytes()
    yield cv2.imencode(".jpg", small[..., 0])[1].tobytes()
    yield cmyk_jpeg()
    yield flat_png(65, 70)
