"""Preprocessing against a naive restatement of CenterNet's own, on photographs and on awkward sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.errors import ImageError, OptionError
from inference.images import read_image
from inference.preprocess import affine_from_output, affine_to_input, output_size, preprocess, preprocess_batch

SIZES = [(480, 640), (640, 427), (1, 1), (1, 7), (7, 1), (2, 3), (333, 101), (100, 1333), (513, 511), (512, 512)]


def naive_affine(centre: np.ndarray, scale: float, size: Tuple[int, int]) -> np.ndarray:
    """``get_affine_transform(centre, scale, 0, size)``: size is (width, height)."""
    source = np.zeros((3, 2), np.float32)
    target = np.zeros((3, 2), np.float32)
    source[0], target[0] = centre, (size[0] * 0.5, size[1] * 0.5)
    source[1], target[1] = source[0] + (0, -0.5 * scale), target[0] + (0, -0.5 * size[0])
    for points in (source, target):
        arm = points[0] - points[1]
        points[2] = points[1] + np.array([-arm[1], arm[0]], np.float32)
    return cv2.getAffineTransform(source, target)


def naive_preprocess(image: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """``BaseDetector.pre_process`` with a fixed resolution: float32 [3, height, width]."""
    height, width = image.shape[:2]
    centre = np.array([width / 2.0, height / 2.0], np.float32)
    affine = naive_affine(centre, max(height, width) * 1.0, (spec.width, spec.height))
    placed = cv2.warpAffine(image, affine, (spec.width, spec.height), flags=cv2.INTER_LINEAR)
    mean = np.array(spec.mean, np.float32).reshape(1, 1, 3)
    std = np.array(spec.std, np.float32).reshape(1, 1, 3)
    return ((placed / 255.0 - mean) / std).astype(np.float32).transpose(2, 0, 1)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 10007 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("box", [(512, 512), (256, 256), (512, 256), (96, 160)])
def test_an_image_of_any_size_becomes_the_tensor_that_centernet_makes(
    size: Tuple[int, int], box: Tuple[int, int]
) -> None:
    spec = PreprocessSpec(width=box[0], height=box[1])
    tensor = preprocess(noise(*size), spec)
    assert tensor.dtype == np.float32 and tensor.flags.c_contiguous
    np.testing.assert_array_equal(tensor, naive_preprocess(noise(*size), spec))


def test_photographs_become_the_tensor_that_centernet_makes_bit_for_bit(coco_mini: Path) -> None:
    photographs = sorted((coco_mini / "val2017").glob("*.jpg"))[:12]
    assert photographs
    for path in photographs:
        image = read_image(path)
        np.testing.assert_array_equal(preprocess(image, PreprocessSpec()), naive_preprocess(image, PreprocessSpec()))


def test_every_pixel_value_of_every_channel_is_normalised_as_the_formula_says() -> None:
    spec = PreprocessSpec(width=256, height=256)
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 256, axis=0).repeat(3, axis=2)
    tensor = preprocess(ramp, spec)
    expected = (np.arange(256) / 255.0 - np.float32(0.447)) / np.float32(0.274)
    np.testing.assert_array_equal(tensor[1], np.broadcast_to(expected.astype(np.float32), (256, 256)))


def test_a_fused_spec_yields_the_raw_pixels_in_planes() -> None:
    spec = PreprocessSpec(width=64, height=32, fused=True)
    image = noise(32, 64)
    tensor = preprocess(image, spec)
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor, image.transpose(2, 0, 1))


def test_rgb_models_get_their_planes_and_constants_in_rgb_order() -> None:
    bgr = PreprocessSpec(width=64, height=64)
    rgb = PreprocessSpec(width=64, height=64, channel_order="RGB", mean=bgr.mean[::-1], std=bgr.std[::-1])
    image = noise(50, 70)
    np.testing.assert_array_equal(preprocess(image, rgb), preprocess(image, bgr)[::-1])


def test_what_lies_outside_the_image_is_black() -> None:
    spec = PreprocessSpec(width=64, height=64)
    tensor = preprocess(np.full((10, 64, 3), 255, np.uint8), spec)
    black = ((0.0 - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)).astype(np.float32)
    np.testing.assert_allclose(tensor[:, 0, 0], black, rtol=1e-6)


def test_a_view_with_negative_strides_is_read_in_its_own_order() -> None:
    image = noise(60, 80)
    np.testing.assert_array_equal(
        preprocess(image[:, ::-1], PreprocessSpec()), preprocess(image[:, ::-1].copy(), PreprocessSpec())
    )


def test_a_batch_holds_each_image_as_it_would_be_alone() -> None:
    images = [noise(*size) for size in SIZES[:4]]
    batch = preprocess_batch(images, PreprocessSpec())
    assert batch.shape == (4, 3, 512, 512)
    for image, row in zip(images, batch):
        np.testing.assert_array_equal(row, preprocess(image, PreprocessSpec()))


def test_a_batch_names_the_image_that_is_none() -> None:
    with pytest.raises(ImageError, match="image 1 of the batch"):
        preprocess_batch([noise(4, 4), np.zeros((4, 4), np.uint8)], PreprocessSpec())


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one image"):
        preprocess_batch([], PreprocessSpec())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        [[1, 2, 3]],
        None,
    ],
    ids=["gray", "alpha", "float", "16 bit", "list", "nothing"],
)
def test_what_is_no_8_bit_bgr_image_is_refused(image: object) -> None:
    with pytest.raises(ImageError):
        preprocess(image, PreprocessSpec())  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
def test_an_image_without_pixels_is_refused(shape: Tuple[int, int, int]) -> None:
    with pytest.raises(ImageError, match="the image is empty"):
        preprocess(np.zeros(shape, np.uint8), PreprocessSpec())


@pytest.mark.parametrize(
    "out",
    [
        np.empty((3, 64, 64), np.float64),
        np.empty((3, 64, 63), np.float32),
        np.empty((3, 64, 128), np.float32)[:, :, ::2],
    ],
    ids=["another dtype", "another shape", "with gaps"],
)
def test_a_place_that_does_not_fit_the_result_is_refused(out: np.ndarray) -> None:
    with pytest.raises(OptionError, match="expected C-contiguous"):
        preprocess(noise(8, 8), PreprocessSpec(width=64, height=64), out=out)


@pytest.mark.parametrize("size", SIZES)
def test_the_way_back_from_the_output_is_the_way_to_the_input_inverted(size: Tuple[int, int]) -> None:
    spec = PreprocessSpec(width=512, height=256)
    forward = np.vstack([affine_to_input(size, spec), [0, 0, 1]])
    back = np.vstack([affine_from_output(size, spec), [0, 0, 1]])
    to_cells = np.diag([0.25, 0.25, 1.0])
    np.testing.assert_allclose(back @ to_cells @ forward, np.eye(3), atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_the_way_back_from_the_output_is_bit_for_bit_the_original_one(size: Tuple[int, int]) -> None:
    height, width = size
    spec = PreprocessSpec()
    centre = np.array([width / 2.0, height / 2.0], np.float32)
    forward = naive_affine(centre, float(max(size)), (128, 128))
    matrix = affine_from_output(size, spec)
    np.testing.assert_allclose(matrix[:, :2] @ forward[:, :2], np.eye(2), atol=1e-6)
    # The original solves for the inverse from the points swapped, rather than inverting.
    source = np.array([[64, 64], [64, 0], [0, 0]], np.float32)
    half = max(size) * 0.5
    x, y = width / 2.0, height / 2.0
    target = np.array([[x, y], [x, y - half], [x - half, y - half]], np.float32)
    np.testing.assert_array_equal(matrix, cv2.getAffineTransform(source, target))


def test_the_head_tensor_is_a_quarter_of_the_input() -> None:
    assert output_size(PreprocessSpec(width=512, height=384)) == (96, 128)
