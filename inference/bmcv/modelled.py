"""What BMCV makes of an image, in numpy: for knowing without a device what its preprocessing costs, and for tests.

After the documentation and the open sources of sophgo/libsophon, bmvid/bmcv: the VPP scales bilinearly in float32
between the middles of pixels, repeats the edge, and rounds to whole pixel values, halves up (src/bm1684x/
bmcv_1684x_vpp_internal.cpp sets ``scl_init`` and the rounding; bmcv_1684x_vpp_cmodel.cpp, of an earlier commit, is the
arithmetic); ``bmcv_image_convert_to`` is y = k * x + b. That is BM1684X. How BM1684 and BM1688 round inside is written
nowhere that we found; the places between which they interpolate are taken to be the same.

`inference doctor --compare` says how true this is on a device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifacts.release import PreprocessSpec
from inference.bmcv.geometry import place, scales_and_biases
from inference.preprocess import CHANNELS


class _Samples(NamedTuple):
    """For each pixel of a row that is made: the two that it lies between, and how far it is from the first."""

    first: np.ndarray
    second: np.ndarray
    fraction: np.ndarray


def preprocess_like_bmcv(image: np.ndarray, spec: PreprocessSpec, *, nearest: bool = False) -> np.ndarray:
    """Turn one image into the input tensor that BMCV makes of it.

    Args:
        image: uint8 [H, W, 3], channels in BGR order.
        spec: What the model expects; square.
        nearest: Whether the nearest pixel is taken in place of interpolating, which is what sail does unless told
            otherwise, and what the vendor's sample has.

    Returns:
        float32 [3, spec.height, spec.width], or uint8 where ``spec.fused``.
    """
    return convert_like_bmcv(place_like_bmcv(image, spec, nearest=nearest), spec)


def place_like_bmcv(image: np.ndarray, spec: PreprocessSpec, *, nearest: bool = False) -> np.ndarray:
    """Scale and pad an image as the VPP does.

    Args:
        image: uint8 [H, W, 3], channels in BGR order.
        spec: What the model expects; square.
        nearest: As of `preprocess_like_bmcv`.

    Returns:
        uint8 [spec.height, spec.width, 3], BGR, black around the image.
    """
    left, top, width, height = place((image.shape[0], image.shape[1]), spec)
    placed = np.zeros((spec.height, spec.width, CHANNELS), np.uint8)
    resize = resize_nearest if nearest else resize_bilinear
    placed[top : top + height, left : left + width] = resize(image, width, height)
    return placed


def convert_like_bmcv(placed: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """Put planes in the model's order and do its arithmetic, as ``convert_to`` does.

    Args:
        placed: uint8 [H, W, 3], BGR.
        spec: What the model expects.

    Returns:
        float32 [3, H, W], or uint8 where ``spec.fused``.
    """
    planes = placed[:, :, :: 1 if spec.channel_order == "BGR" else -1].transpose(2, 0, 1)
    if spec.fused:
        return np.ascontiguousarray(planes)
    factors = np.array(scales_and_biases(spec), np.float32)
    return np.ascontiguousarray(planes * factors[:, :1, None] + factors[:, 1:, None], np.float32)


def resize_bilinear(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale uint8 [h, w, 3] to [height, width, 3], between the middles of pixels."""
    x, y = _samples(width, image.shape[1]), _samples(height, image.shape[0])
    across = x.fraction[None, :, None]

    def row(chosen: np.ndarray) -> np.ndarray:
        # float32 from here on: a fraction in float32 times uint8 is float32.
        return np.asarray(chosen[:, x.first] * (1 - across) + chosen[:, x.second] * across)

    down = y.fraction[:, None, None]
    values = row(image[y.first]) * (1 - down) + row(image[y.second]) * down
    return np.asarray(np.floor(values + np.float32(0.5)), np.uint8)


def resize_nearest(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale uint8 [h, w, 3] to [height, width, 3], with the pixel at or before each place, from the corner."""
    columns, rows = (
        np.minimum((np.arange(made, dtype=np.float32) * _step(made, given)).astype(np.int64), given - 1)
        for made, given in ((width, image.shape[1]), (height, image.shape[0]))
    )
    return np.ascontiguousarray(image[rows[:, None], columns])


def _samples(made: int, given: int) -> _Samples:
    half = np.float32(0.5)
    positions = np.maximum((np.arange(made, dtype=np.float32) + half) * _step(made, given) - half, 0)
    first = np.minimum(positions.astype(np.int64), given - 1)
    fraction = (positions - first).astype(np.float32)
    return _Samples(first, np.minimum(first + 1, given - 1), fraction)


def _step(made: int, given: int) -> np.float32:
    return np.float32(np.float32(given) / np.float32(made))
