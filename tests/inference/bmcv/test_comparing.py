"""Two ways beside each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.bmcv.comparing import agreement, tensor_distance, together
from inference.decode import Detections


def found(*each: tuple) -> Detections:  # type: ignore[type-arg]
    boxes = np.array([one[0] for one in each], np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array([one[1] for one in each], np.float32), np.array([one[2] for one in each], np.int32)
    )


def test_tensors_are_compared_in_pixel_values() -> None:
    spec = PreprocessSpec(width=4, height=4, std=(0.5, 0.25, 0.125))
    first = np.zeros((3, 4, 4), np.float32)
    second = first.copy()
    second[2, 1, 1] = 8  # of a deviation of 0.125: the whole range
    assert tensor_distance(first, second, spec) == pytest.approx((255 / 48, 255))
    raw = PreprocessSpec(width=4, height=4, fused=True)
    assert tensor_distance(first.astype(np.uint8), second.astype(np.uint8), raw) == pytest.approx((8 / 48, 8))


def test_detections_are_paired_within_a_class_each_once() -> None:
    first = found(([0, 0, 10, 10], 0.9, 1), ([0, 0, 10, 10], 0.8, 1), ([50, 50, 60, 60], 0.7, 2))
    second = found(([0, 0, 10, 8], 0.7, 1), ([50, 50, 60, 60], 0.6, 3))
    assert agreement(first, second) == pytest.approx((3, 2, 1, 0.8, 0.2))
    assert agreement(first, first) == pytest.approx((3, 3, 3, 1, 0))


def test_a_box_that_hardly_overlaps_is_another() -> None:
    one = agreement(found(([0, 0, 10, 10], 0.9, 1)), found(([0, 6, 10, 16], 0.9, 1)))
    assert one.same == 0 and math.isnan(one.iou)


def test_images_without_pairs_do_not_spoil_the_sum() -> None:
    same = agreement(found(([0, 0, 4, 4], 0.5, 0)), found(([0, 0, 4, 4], 0.25, 0)))
    assert together([same, agreement(found(), found(([0, 0, 4, 4], 0.5, 0)))]) == pytest.approx((1, 2, 1, 1, 0.25))
    assert math.isnan(together([]).iou)
