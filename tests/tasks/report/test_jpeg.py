from __future__ import annotations

import cv2
import numpy as np

from tasks.report.jpeg import encode, shrunk

NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)


def shape(data: bytes) -> tuple[int, ...]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.shape


def test_a_picture_that_is_too_large_is_encoded_at_a_lower_quality() -> None:
    full = encode(NOISE, 10**9)
    assert len(encode(NOISE, len(full) - 1)) < len(full)
    assert encode(NOISE, 1) == encode(NOISE, 2)  # the lowest quality is the end


def test_what_fits_is_left_as_it_is() -> None:
    data = encode(NOISE, 10**9)
    assert shrunk(data, 300, len(data)) == data


def test_what_is_too_wide_or_too_large_is_made_to_fit() -> None:
    data = encode(NOISE, 10**9)
    assert shape(shrunk(data, 150, 10**9)) == (100, 150, 3)
    smaller = shrunk(data, 300, len(data) // 2)
    assert len(smaller) <= len(data) // 2 and shape(smaller) == (200, 300, 3)


def test_what_is_no_picture_is_passed_on() -> None:
    assert shrunk(b"a picture", 10, 1) == b"a picture"
    assert shrunk(b"", 10, 1) == b""
