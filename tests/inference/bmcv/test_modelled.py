"""The numpy model of BMCV, against OpenCV and against numbers worked out by hand."""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.bmcv.modelled import preprocess_like_bmcv, resize_bilinear, resize_nearest
from inference.preprocess import preprocess


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(480, 640), (427, 640), (100, 77), (31, 500)])
def test_scaling_is_bilinear_between_the_middles_of_pixels_as_opencvs(size: Tuple[int, int]) -> None:
    image = photograph(*size)
    for width, height in ((512, 384), (200, 300), (33, 17)):
        made = resize_bilinear(image, width, height)
        # OpenCV has fractions of 1 / 2048.
        assert np.abs(made.astype(int) - cv2.resize(image, (width, height)).astype(int)).max() <= 1


def test_scaling_rounds_halves_up_and_repeats_the_edge() -> None:
    row = np.repeat(np.array([[10, 13]], np.uint8)[:, :, None], 3, axis=2)
    # Places -0.25, 0.25, 0.75, 1.25: 10, 10.75, 12.25, 13.
    assert resize_bilinear(row, 4, 1)[0, :, 0].tolist() == [10, 11, 12, 13]
    assert resize_bilinear(row, 1, 1)[0, 0].tolist() == [12, 12, 12]  # 11.5


def test_the_nearest_pixel_is_counted_from_the_corner() -> None:
    row = np.repeat(np.arange(10, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert resize_nearest(row, 4, 1)[0, :, 0].tolist() == [0, 2, 5, 7]
    assert resize_nearest(row[:, :2], 4, 1)[0, :, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_where_nothing_is_scaled_the_tensor_is_the_hosts(order: str, fused: bool) -> None:
    spec = PreprocessSpec.model_validate({"width": 64, "height": 64, "channel_order": order, "fused": fused})
    image = photograph(64, 40)
    made, hosts = preprocess_like_bmcv(image, spec), preprocess(image, spec)
    assert (made.dtype, made.shape, made.flags.c_contiguous) == (hosts.dtype, hosts.shape, True)
    np.testing.assert_allclose(made, hosts, rtol=0, atol=0 if fused else 1e-6)


def test_what_lies_around_the_image_is_black() -> None:
    made = preprocess_like_bmcv(np.full((40, 80, 3), 255, np.uint8), PreprocessSpec(width=64, height=64, fused=True))
    assert (made[:, 16:48] == 255).all() and made.sum() == 255 * 3 * 32 * 64
