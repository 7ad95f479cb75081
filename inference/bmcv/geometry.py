"""Where BMCV puts an image in the network's input, which images it takes, and the way back for boxes.

The host's letterbox is an affine map about the image's centre, at any fraction of a pixel (`inference.preprocess`).
BMCV scales to whole pixels and pads by whole pixels, and its bilinear scaling keeps the middles of the corner pixels
apart from the edge: what is pixel i of the image comes to (i + 0.5) * scale - 0.5, not to i * scale. Undone as the
host's, boxes of an image that is made n times smaller would be off by (n - 1) / 2 of its pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import numpy as np

from artifacts.release import PreprocessSpec
from inference.errors import ImageError, OptionError
from inference.preprocess import output_size

MOST_PADDING = 255
"""Pixels on each side that the VPP can pad (libsophon, bmvid/bmcv/src/bm1684x/bmcv_1684x_vpp_internal.cpp)."""


class Limits(NamedTuple):
    """Which sizes the VPP of a chip takes, in and out (libsophon, bmcv documentation, bmcv_image_vpp_basic, notes).

    Attributes:
        least: Shortest side in pixels.
        most: Longest side in pixels.
        ratio: How many times smaller or larger it makes an image.
    """

    least: int
    most: int
    ratio: int


LIMITS = {"BM1684": Limits(16, 4096, 32), "BM1684X": Limits(8, 8192, 128)}
"""A chip that the documentation does not name, such as BM1688, is taken to have the narrower ones."""


class Placement(NamedTuple):
    """The rectangle of the network's input that the scaled image fills, in pixels; the rest is black."""

    left: int
    top: int
    width: int
    height: int


def check_spec(spec: PreprocessSpec) -> None:
    """Refuse what BMCV cannot prepare.

    Raises:
        OptionError: The network's input is not square. The host's letterbox takes its scale from the width alone and
            may cut the image at top and bottom, which is no scaling and padding.
    """
    if spec.width != spec.height:
        raise OptionError(
            f"the model's input is {spec.width} x {spec.height} pixels; only square ones can be prepared on the "
            "device: leave --preprocess at host"
        )


def place(image_size: Tuple[int, int], spec: PreprocessSpec) -> Placement:
    """Say where an image goes: scaled so that its longer side fills the input, in the middle, in whole pixels.

    Args:
        image_size: (height, width) of the image in pixels.
        spec: What the model expects; square.
    """
    height, width = image_size
    longer = max(height, width)
    # Integers, halves up: floating point would have 341.49999 for 341.5 on one machine and not on another.
    wide, high = (max(1, (2 * side * spec.width + longer) // (2 * longer)) for side in (width, height))
    return Placement((spec.width - wide) // 2, (spec.height - high) // 2, wide, high)


def affine_from_output(image_size: Tuple[int, int], spec: PreprocessSpec) -> np.ndarray:
    """The map from cells of the head tensor back to source pixels, where BMCV has placed the image.

    Args:
        image_size: (height, width) of the source image in pixels.
        spec: What the model expects.

    Returns:
        float64 [2, 3]; source (x, y) = matrix @ (x, y, 1) of the head tensor.
    """
    placed = place(image_size, spec)
    height, width = image_size
    rows, columns = output_size(spec)
    x, y = width / placed.width, height / placed.height
    return np.array(
        [
            [x * spec.width / columns, 0.0, (0.5 - placed.left) * x - 0.5],
            [0.0, y * spec.height / rows, (0.5 - placed.top) * y - 0.5],
        ]
    )


def check_image(image_size: Tuple[int, int], spec: PreprocessSpec, chip: str, path: Optional[Path] = None) -> None:
    """Refuse an image that the chip's VPP does not take.

    Args:
        image_size: (height, width) of the image in pixels.
        spec: What the model expects.
        chip: The chip's name.
        path: Where it comes from, for messages.

    Raises:
        ImageError: It is too small, too large, or too long and narrow.
    """
    limits = LIMITS.get(chip, LIMITS["BM1684"])
    placed = place(image_size, spec)
    height, width = image_size
    sides = (height, width, placed.height, placed.width)
    ratio = max(height / placed.height, placed.height / height, width / placed.width, placed.width / width)
    padding = max(spec.width - placed.left - placed.width, spec.height - placed.top - placed.height)
    if min(sides) < limits.least or max(sides) > limits.most or ratio > limits.ratio or padding > MOST_PADDING:
        name = "an image" if path is None else f"the image {path}"
        raise ImageError(
            f"{name} of {width} x {height} pixels becomes one of {placed.width} x {placed.height} in the model's "
            f"input, which is not for the device: it takes and makes sides of {limits.least} to {limits.most} pixels, "
            f"scales by up to {limits.ratio} and pads by up to {MOST_PADDING} pixels. Leave --preprocess at host for "
            "such images",
            path,
        )


def scales_and_biases(spec: PreprocessSpec) -> Tuple[Tuple[float, float], ...]:
    """For each plane of the tensor, what a pixel value is multiplied by, and what is added then.

    Args:
        spec: What the model expects. Planes, means and deviations are in its channel order; where ``spec.fused``, the
            model does the arithmetic and pixel values stay as they are.
    """
    if spec.fused:
        return ((1.0, 0.0),) * 3
    return tuple((spec.scale / std, -mean / std) for mean, std in zip(spec.mean, spec.std))
