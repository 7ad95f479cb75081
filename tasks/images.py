"""Reading of images for calibration and evaluation: the device's own reader, and what calibration refuses besides.

The pixels are those of `inference.images.read_image`, which are those of ``cv2.imread(path)``: alpha is dropped and the
EXIF orientation is applied. The vendor's samples read images that way, so the device sees the same pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from inference.errors import ImageError
from inference.images import ImageHeader, check_header, decode_image, read_file, read_header
from tasks.errors import BadImage

MIN_SIDE = 64
"""Shortest side in pixels. A smaller image is blown up more than 8 times and shows the network only blur."""

# Toned prints and the chroma noise of JPEG stay below; a photograph with one small coloured thing is above.
_GRAY_SPREAD = 16
_GRAY_QUANTILE = 0.999

_CMYK_CHANNELS = 4


def read_image(path: Path, *, min_side: int = MIN_SIDE) -> np.ndarray:
    """Read an image file for calibration or evaluation.

    Args:
        path: A JPEG, PNG or BMP file.
        min_side: Shortest side in pixels that is accepted.

    Returns:
        uint8 [height, width, 3], BGR, upright.

    Raises:
        BadImage: ``unreadable`` (no image, damaged, cut short, over 100 megapixels), ``CMYK``, ``16-bit`` (more than 8
            bits a channel) or ``tiny``.
    """
    return decode_checked(read_bytes(path), path, min_side=min_side)


def read_bytes(path: Path) -> bytes:
    """Return an image file's bytes.

    Raises:
        BadImage: ``unreadable``: no regular file, empty, over 512 MiB, or not to be read.
    """
    try:
        return read_file(path)
    except ImageError as error:
        raise BadImage(path.name, "unreadable", str(error)) from error


def decode_checked(data: bytes, path: Path, *, min_side: int = MIN_SIDE) -> np.ndarray:
    """Decode an image file's bytes for calibration or evaluation.

    Args:
        data: The bytes of a JPEG, PNG or BMP file.
        path: Where they come from, for messages.
        min_side: Shortest side in pixels that is accepted.

    Returns:
        uint8 [height, width, 3], BGR, upright.

    Raises:
        BadImage: As for `read_image`.
    """
    try:
        header = check_header(read_header(data, path), path)
        _check_kind(header, path, min_side)
        return decode_image(data, path)
    except ImageError as error:
        raise BadImage(path.name, "unreadable", str(error)) from error


def _check_kind(header: ImageHeader, path: Path, min_side: int) -> None:
    size = f"{header.width} x {header.height}"
    if header.format == "JPEG" and header.channels == _CMYK_CHANNELS:
        raise BadImage(
            path.name,
            "CMYK",
            f"the image {path} is a CMYK JPEG, made for print. Decoders disagree about its colours: convert it to RGB.",
        )
    if header.bits > 8:
        raise BadImage(
            path.name,
            "16-bit",
            f"the image {path} has {header.bits} bits a channel. Reducing them to 8 would hide how dark or bright it "
            "is: convert it to 8 bits with the tone curve that the camera's images have.",
        )
    if min(header.width, header.height) < min_side:
        raise BadImage(
            path.name,
            "tiny",
            f"the image {path} is only {size} pixels, but each side must have {min_side}. Use the original.",
        )


def is_grayscale(image: np.ndarray) -> bool:
    """Tell whether an image has no colour to speak of: gray, black and white, or faintly toned.

    Args:
        image: uint8 [height, width, 3], BGR.

    Returns:
        True where in 99.9 % of the pixels the largest and the smallest channel differ by less than 16.
    """
    blue, green, red = cv2.split(image)  # 25 times faster than max and min along a NumPy axis of length 3
    spread = cv2.max(cv2.max(blue, green), red) - cv2.min(cv2.min(blue, green), red)
    return int(np.count_nonzero(spread < _GRAY_SPREAD)) >= _GRAY_QUANTILE * spread.size
