"""Image files made byte by byte, for what OpenCV cannot write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np


def scene(seed: int, *, width: int = 96, height: int = 72) -> np.ndarray:
    """Return a colourful image, uint8 [height, width, 3] BGR: random blobs, so that two seeds are far apart."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, image: np.ndarray, *options: int) -> Path:
    """Write an image in the format of the path's suffix and return the path."""
    assert cv2.imwrite(str(path), image, list(options))
    return path


def cmyk_jpeg(side: int = 64) -> bytes:
    """Return a complete CMYK JPEG: four components, every block of it flat."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    one_code = bytes([1] + [0] * 15 + [0])  # one Huffman code, of one bit, for the symbol 0
    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    scan = b"".join(bytes([number, 0x00]) for number in range(1, 5))
    blocks = (side // 8) ** 2
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC0, struct.pack(">BHHB", 8, side, side, 4) + components),
            segment(0xC4, b"\x00" + one_code),
            segment(0xC4, b"\x10" + one_code),
            segment(0xDA, b"\4" + scan + b"\0\x3f\0"),
            b"\0" * blocks,  # two one-bit codes for each of four blocks
            b"\xff\xd9",
        )
    )


def flat_png(width: int, height: int) -> bytes:
    """Return a black one-bit PNG; 12 000 x 12 000 pixels are 18 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(b"\0" * (1 + -(-width // 8)) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    """Return a JPEG with an EXIF segment that holds an orientation and, at its end, any bytes."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0) + thumbnail
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
