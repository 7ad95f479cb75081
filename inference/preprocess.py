"""From an image to the network's input tensor, and the geometry to come back.

Equal to the ``pre_process`` of xingyizhou/CenterNet with a fixed resolution
(src/lib/detectors/base_detector.py): the image is placed by an affine map about its centre
(``get_affine_transform`` of src/lib/utils/image.py, without rotation), sampled bilinearly, and
normalised channel by channel. A pixel has 256 values, so that the arithmetic is done once for a
table and each image only looks it up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from artifacts.release import PreprocessSpec
from inference.errors import ImageError, OptionError

OUTPUT_STRIDE = 4
"""Input pixels for each cell of the head tensor (CenterNet's ``down_ratio``)."""

CHANNELS = 3


def preprocess(image: np.ndarray, spec: PreprocessSpec, *, out: Optional[np.ndarray] = None) -> np.ndarray:
    """Turn one image into one input tensor.

    Args:
        image: uint8 [H, W, 3], channels in BGR order, any size from 1 x 1.
        spec: What the model expects.
        out: Where to write the result, C-contiguous, of the result's own dtype and shape; a new array if None.

    Returns:
        float32 [3, spec.height, spec.width], or uint8 with the raw pixel values where ``spec.fused``.
        Planes are in the order of ``spec.channel_order``. What lies outside the image is black.

    Raises:
        ImageError: The array is no uint8 [H, W, 3] image, is empty, or OpenCV cannot resample it
            (its older versions stop at 32766 pixels on a side).
        OptionError: ``out`` has another dtype, shape or layout than the result.
    """
    check_image(image)
    shape = (CHANNELS, spec.height, spec.width)
    if out is None:
        out = np.empty(shape, dtype=spec.dtype)
    elif out.shape != shape or out.dtype != spec.dtype or not out.flags.c_contiguous:
        raise OptionError(f"out is {out.dtype} {list(out.shape)}, expected C-contiguous {spec.dtype} {list(shape)}")
    affine = affine_to_input((image.shape[0], image.shape[1]), spec)
    try:
        placed = cv2.warpAffine(np.ascontiguousarray(image), affine, (spec.width, spec.height), flags=cv2.INTER_LINEAR)
    except cv2.error as error:
        raise ImageError(f"OpenCV cannot resample an image of {_size_text(image)}: {error.err or error}") from error
    planes = _planes_of_channels(spec)
    # OpenCV fills the planes of `out` in place: their size and type are exactly the result's.
    if spec.fused:
        cv2.split(placed, [out[plane] for plane in planes])
        return out
    tables = _normalisation_tables(spec)
    for plane, channel in zip(planes, cv2.split(placed)):
        cv2.LUT(channel, tables[plane], out[plane])
    return out


def preprocess_batch(images: Sequence[np.ndarray], spec: PreprocessSpec) -> np.ndarray:
    """Turn several images, of any sizes, into one input batch.

    Args:
        images: uint8 [H, W, 3] each, channels in BGR order; at least one.
        spec: What the model expects.

    Returns:
        float32 [N, 3, spec.height, spec.width], or uint8 where ``spec.fused``.

    Raises:
        ImageError: An array is no usable image; the message says which.
        OptionError: There is no image.
    """
    if not images:
        raise OptionError("a batch needs at least one image")
    batch = np.empty((len(images), CHANNELS, spec.height, spec.width), dtype=spec.dtype)
    for index, image in enumerate(images):
        try:
            preprocess(image, spec, out=batch[index])
        except ImageError as error:
            raise ImageError(f"image {index} of the batch: {error}") from error
    return batch


def output_size(spec: PreprocessSpec) -> Tuple[int, int]:
    """The (height, width) of the head tensor, in cells, for inputs made by this spec."""
    return spec.height // OUTPUT_STRIDE, spec.width // OUTPUT_STRIDE


def affine_to_input(image_size: Tuple[int, int], spec: PreprocessSpec) -> np.ndarray:
    """The map from source pixels to input pixels.

    Args:
        image_size: (height, width) of the source image in pixels.
        spec: What the model expects.

    Returns:
        float64 [2, 3]; input (x, y) = matrix @ (x, y, 1) of the source.
    """
    return _affine(_triangle_in_image(image_size), _triangle_in_box(spec.width, spec.height))


def affine_from_output(image_size: Tuple[int, int], spec: PreprocessSpec) -> np.ndarray:
    """The map from cells of the head tensor back to source pixels.

    It is solved from its own three points, as the original does, not inverted from ``affine_to_input``.

    Args:
        image_size: (height, width) of the source image in pixels.
        spec: How the image became the network's input.

    Returns:
        float64 [2, 3]; source (x, y) = matrix @ (x, y, 1) of the head tensor.
    """
    height, width = output_size(spec)
    return _affine(_triangle_in_box(width, height), _triangle_in_image(image_size))


def _affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.getAffineTransform(source, target), dtype=np.float64)


def _triangle_in_image(image_size: Tuple[int, int]) -> np.ndarray:
    """Centre, a point above it and the corner left of that, half the longer side away: float32 [3, 2]."""
    height, width = image_size
    half = max(height, width) * 0.5
    return _triangle(width / 2.0, height / 2.0, half)


def _triangle_in_box(width: int, height: int) -> np.ndarray:
    """The same three points in a box of cells or pixels; its width alone sets the scale, as in the original."""
    return _triangle(width * 0.5, height * 0.5, width * 0.5)


def _triangle(x: float, y: float, half: float) -> np.ndarray:
    return np.array([[x, y], [x, y - half], [x - half, y - half]], dtype=np.float32)


def _planes_of_channels(spec: PreprocessSpec) -> Tuple[int, int, int]:
    """For each channel of a BGR image, the plane of the tensor that it fills."""
    return (0, 1, 2) if spec.channel_order == "BGR" else (2, 1, 0)


@lru_cache(maxsize=16)
def _normalisation_tables(spec: PreprocessSpec) -> np.ndarray:
    """The normalised value of each pixel value: float32 [3 planes, 1, 256].

    The constants are float32 and the arithmetic float64, rounded once at the end, as the original's is.
    """
    values = np.arange(256, dtype=np.float64) * spec.scale
    mean = np.array(spec.mean, dtype=np.float32).reshape(CHANNELS, 1, 1)
    std = np.array(spec.std, dtype=np.float32).reshape(CHANNELS, 1, 1)
    tables = ((values - mean) / std).astype(np.float32)
    tables.flags.writeable = False
    return tables


def check_image(image: np.ndarray) -> None:
    """Refuse an array that is no image.

    Raises:
        ImageError: It is no uint8 [H, W, 3], or is empty.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != CHANNELS:
        found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image is uint8 [height, width, 3] in BGR order; this is {found}")
    if image.size == 0:
        raise ImageError(f"the image is empty: {_size_text(image)}")


def _size_text(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]} (width x height) pixels"
