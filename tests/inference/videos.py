"""Making videos for tests."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Iterator, Tuple

import cv2
import numpy as np

FPS = 10.0


def picture(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A frame whose number can be read back: a bright bar of four pixels a number on dark ground."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[:, : 4 * (number + 1)] = 230
    return image


def number_of(image: np.ndarray) -> int:
    """The number of a frame made by `picture`, after any lossy coding."""
    return round(float((image[image.shape[0] // 2, :, 1] > 128).sum()) / 4) - 1


def write_video(path: Path, frames: int = 20, *, width: int = 96, height: int = 64, codec: str = "mp4v") -> Path:
    """Write a video of numbered frames, 10 a second."""
    code = int.from_bytes(codec.encode(), "little")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, FPS, (width, height))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture(number, width, height))
    writer.release()
    return path


def index_first(data: bytes) -> bytes:
    """An MP4 file with its index in front, as servers want it: cut short, it can still be decoded up to there.

    The index ('moov') moves before the media data ('mdat'), and its chunk offsets ('stco') grow by its own length
    (ISO/IEC 14496-12, 8.7.5).
    """
    boxes = dict(_boxes(data))
    index = bytearray(boxes[b"moov"])
    at = index.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", index, at)
    offsets = struct.unpack_from(f">{count}I", index, at + 4)
    struct.pack_into(f">{count}I", index, at + 4, *(offset + len(index) for offset in offsets))
    first = boxes.pop(b"ftyp")
    del boxes[b"moov"]
    return first + bytes(index) + b"".join(boxes.values())


def _boxes(data: bytes) -> Iterator[Tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position : position + size]
        position += size
