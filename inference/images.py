"""Reading of image files, as the device does it: checked before they are decoded, then decoded as `cv2.imread` would.

The vendor's samples read images with ``cv2.imread(path)``. So does this module in effect, EXIF orientation included, so
that calibration, evaluation and the device see the same pixels. What it adds is refusal: a decompression bomb is turned
away by its header, and a file that was cut short by its missing end (OpenCV fills the rest with gray and says nothing).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np

from artifacts.bounded import read_bounded
from inference.errors import ImageError
from inference.jpeg import JpegHeader, read_jpeg_header

MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 512 * 1024 * 1024
# Encoders write about ten; a scan of some bytes costs as much time as the whole image has blocks.
MAX_SCANS = 64

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_BMP_UNCODED = frozenset({0, 3})  # BI_RGB, BI_BITFIELDS
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class ImageHeader(NamedTuple):
    """What an image file says about itself.

    Attributes:
        format: ``JPEG``, ``PNG`` or ``BMP``.
        width: Stored width in pixels, before any EXIF rotation.
        height: Stored height in pixels, before any EXIF rotation.
        channels: Stored channels: 1 gray, 2 gray and alpha, 3 colour or palette, 4 CMYK (JPEG) or alpha (PNG, BMP).
        bits: Bits of one channel, 8 where they are fewer.
        complete: Whether the data reach to the end that the format prescribes.
        scans: How often a decoder goes over the image: more than once in a progressive JPEG.
        jpeg: All that a JPEG says; None for other formats.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    complete: bool
    scans: int = 1
    jpeg: Optional[JpegHeader] = None


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as ``cv2.imread(path)`` does, after checking it.

    Args:
        path: A JPEG, PNG or BMP file.
        max_pixels: The most pixels that are decoded; a larger image is refused by its header.

    Returns:
        uint8 [height, width, 3], BGR, turned upright by its EXIF orientation, alpha dropped.

    Raises:
        ImageError: It is no regular file, cannot be read, or `decode_image` refuses it.
    """
    return decode_image(read_file(path), path, max_pixels=max_pixels)


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file, refusing what cannot be one before reading it.

    Raises:
        ImageError: It is no regular file, is larger than 512 MiB, or cannot be read.
    """
    path = Path(path)
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            reason = "it is not a regular file" if path.exists() else "there is no such file"
            raise ImageError(f"cannot read the image {path}: {reason}. Check the name.", path)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(
                f"the image {path} has {size} bytes, more than {MAX_FILE_BYTES}. It is hardly a photograph: "
                "leave it out, or compress it as JPEG.",
                path,
            )
        return read_bounded(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read the image {path}: {error}. Check the name and who may read it.", path) from error


def decode_image(data: bytes, path: Optional[Path] = None, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file's bytes as ``cv2.imread`` does, after checking them.

    Args:
        data: The bytes of a JPEG, PNG or BMP file.
        path: Where they come from, for messages.
        max_pixels: The most pixels that are decoded; a larger image is refused by its header.

    Returns:
        uint8 [height, width, 3], BGR, turned upright by its EXIF orientation, alpha dropped; more than 8 bits a channel
        are reduced to 8 and CMYK is converted, both as OpenCV does it.

    Raises:
        ImageError: It is no JPEG, PNG or BMP; it was cut short; it has no pixels or more than `max_pixels`; or OpenCV
            cannot decode it.
    """
    header = check_header(read_header(data, path), path, max_pixels=max_pixels)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"{_name(path)} cannot be decoded: {str(error).strip()}. Save it again as JPEG or PNG.", path
        ) from error
    if image is None:
        raise ImageError(
            f"{_name(path)} looks like {header.format} but cannot be decoded. It is damaged, or of a rare kind: "
            "fetch it again, or save it as baseline JPEG or 8-bit PNG.",
            path,
        )
    return image


def check_header(header: ImageHeader, path: Optional[Path] = None, *, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Return the header of an image that is complete and of a bearable size.

    Raises:
        ImageError: The image has no pixels, more than `max_pixels`, more than MAX_SCANS scans, or was cut short.
    """
    pixels = header.width * header.height
    if not 0 < pixels <= max_pixels:
        raise ImageError(
            f"{_name(path)} is {header.width} x {header.height} pixels by its header; 1 to {max_pixels} "
            "pixels are decoded. It is damaged, or made to exhaust memory: leave it out, or scale it down.",
            path,
        )
    if header.scans > MAX_SCANS:
        raise ImageError(
            f"{_name(path)} is a progressive JPEG of {header.scans} scans; {MAX_SCANS} are decoded. Each goes over the "
            "whole image: it is made to keep a decoder busy. Leave it out, or save it as baseline JPEG.",
            path,
        )
    if not header.complete:
        raise ImageError(
            f"{_name(path)} was cut short: the end of the {header.format} data is missing, and its lower part would be "
            "decoded as gray. Copy or download it again.",
            path,
        )
    return header


def read_header(data: bytes, path: Optional[Path] = None) -> ImageHeader:
    """Read an image file's header without decoding any pixel.

    Args:
        data: The bytes of the whole file.
        path: Where they come from, for messages.

    Returns:
        What the file says about itself.

    Raises:
        ImageError: It is empty, no JPEG, PNG or BMP, or its header is damaged.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_header(data)
        if data.startswith(_PNG_SIGNATURE):
            return _png_header(data)
        if data.startswith(b"BM"):
            return _bmp_header(data)
    except (struct.error, KeyError, ValueError) as error:
        raise ImageError(
            f"the header of {_name(path)} is damaged or cut short ({error}). Fetch it again.", path
        ) from error
    if not data:
        raise ImageError(f"{_name(path)} is empty: it has no bytes. Copy or download it again, or leave it out.", path)
    raise ImageError(
        f"{_name(path)} is no JPEG, PNG or BMP (it starts with {data[:8]!r}). Save it as one of these, or leave it "
        "out.",
        path,
    )


def _jpeg_header(data: bytes) -> ImageHeader:
    found = read_jpeg_header(data)
    bits, channels = max(found.bits, 8), found.channels
    return ImageHeader("JPEG", found.width, found.height, channels, bits, found.complete, found.scans, found)


def _png_header(data: bytes) -> ImageHeader:
    """Read IHDR and walk the chunks to IEND (PNG specification, third edition, 5.3 and 11.2).

    OpenCV believes each chunk's length before it has its bytes: one that reaches beyond the file takes GBs of memory.
    """
    kind, width, height, bits, colour = struct.unpack_from(">4sIIBB", data, 12)
    if kind != b"IHDR":
        raise ValueError("no IHDR chunk")
    position = len(_PNG_SIGNATURE)
    has_data = complete = False
    while position + 12 <= len(data) and not complete:
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        has_data = has_data or kind == b"IDAT"
        complete = kind == b"IEND" and has_data and position <= len(data)
    return ImageHeader("PNG", width, height, _PNG_CHANNELS[colour], max(bits, 8), complete)


def _bmp_header(data: bytes) -> ImageHeader:
    """Read BITMAPCOREHEADER (12 bytes, 16-bit sizes) or a successor (32-bit, negative height: top-down)."""
    start, size = struct.unpack_from("<II", data, 10)
    width, height, _planes, bits = struct.unpack_from("<HHHH" if size == 12 else "<iiHH", data, 18)
    (compression,) = (0,) if size == 12 else struct.unpack_from("<I", data, 30)
    rows = (width * bits + 31) // 32 * 4 * abs(height)
    # Of run-length coded rows only the decoder knows the length.
    complete = compression not in _BMP_UNCODED or start + rows <= len(data)
    return ImageHeader("BMP", max(width, 0), abs(height), 4 if bits == 32 else 3, 8, complete)


def _name(path: Optional[Path]) -> str:
    return "the image" if path is None else f"the image {path}"
