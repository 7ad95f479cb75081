"""What is read from a JPEG's markers, beside what OpenCV makes of the same file."""

from __future__ import annotations

import struct
from typing import List, Tuple

import cv2
import numpy as np
import pytest

from inference.images import read_header
from inference.jpeg import read_jpeg_header

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
PLAIN = cv2.imencode(".jpg", PIXELS)[1].tobytes()

Entries = List[Tuple[int, int, int]]
"""Tag, type and value of each."""


def exif(entries: Entries, order: str, before: bytes = b"", start: bytes = b"Exif\0\0") -> bytes:
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(before)) + before
    tiff += struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        tiff += struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}{'I' if kind == 4 else 'Hxx'}", value)
    return start + tiff + struct.pack(f"{order}I", 0)


def with_segments(*segments: bytes) -> bytes:
    return PLAIN[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments) + PLAIN[2:]


def shown_otherwise(data: bytes) -> bool:
    buffer = np.frombuffer(data, np.uint8)
    as_stored = cv2.imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return not np.array_equal(as_stored, cv2.imdecode(buffer, cv2.IMREAD_COLOR))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_but_the_upright_one_is_turned(value: int, order: str) -> None:
    data = with_segments(exif([(0x010F, 3, 9), (0x0112, 3, value), (0x0128, 3, 2)], order))
    assert read_jpeg_header(data).turned is (value != 1) is shown_otherwise(data)


# What looks like the entry "upright", in each byte order.
UPRIGHT = [struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 1, 0) for order in "<>"]


@pytest.mark.parametrize(
    "segments",
    [
        [exif([(0x0112, 3, 6)], order, before=b"" if gap is None else UPRIGHT[gap])]
        for order in "<>"
        for gap in (None, 0, 1)
    ]
    + [
        [exif([(0x0112, 3, 1)], ">"), exif([(0x0112, 3, 6)], "<")],
        [b"http://ns.adobe.com/xap/1.0/\0" + UPRIGHT[0], exif([(0x0112, 3, 8)], ">")],
        [exif([(0x0112, 4, 6)], "<")],
        [exif([(0x0112, 3, 6)], "<", start=b"other\0")],
        [exif([(0x0112, 3, 6), (0x0128, 3, 2)], "<")[:-12]],
    ],
)
def test_no_image_that_opencv_turns_is_taken_for_upright(segments: List[bytes]) -> None:
    data = with_segments(*segments)
    assert read_jpeg_header(data).turned or not shown_otherwise(data)


def test_an_orientation_behind_something_that_looks_like_one_is_found() -> None:
    for order in "<>":
        for decoy in UPRIGHT:
            data = with_segments(exif([(0x0112, 3, 6)], order, before=decoy))
            assert read_jpeg_header(data).turned and shown_otherwise(data)


@pytest.mark.parametrize("cut", range(1, 40))
def test_exif_that_ends_too_early_may_be_turned(cut: int) -> None:
    whole = exif([(0x010F, 3, 9), (0x0112, 3, 6)], ">")
    data = with_segments(whole[: -min(cut, len(whole))])
    assert read_jpeg_header(data).turned or not shown_otherwise(data)


def test_the_frame_the_components_and_adobes_transform_are_read() -> None:
    plain = read_jpeg_header(PLAIN)
    assert (plain.width, plain.height, plain.channels, plain.bits, plain.frame) == (16, 8, 3, 8, 0xC0)
    assert (plain.ids, plain.sampling, plain.transform) == ((1, 2, 3), ((2, 2), (1, 1), (1, 1)), None)
    for transform in (0, 1, 2):
        content = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)
        data = PLAIN[:2] + b"\xff\xee" + struct.pack(">H", len(content) + 2) + content + PLAIN[2:]
        assert read_jpeg_header(data).transform == transform
    short = PLAIN[:2] + b"\xff\xee\x00\x09Adobe\x00\x64" + PLAIN[2:]
    assert read_jpeg_header(short).transform is None


def test_only_a_jpeg_has_a_jpegs_header() -> None:
    assert read_header(PLAIN).jpeg == read_jpeg_header(PLAIN)
    assert read_header(cv2.imencode(".png", PIXELS)[1].tobytes()).jpeg is None
