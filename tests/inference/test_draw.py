"""Drawing: what must be visible, and what must not break it."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pytest

from inference.decode import Detections
from inference.draw import MIN_SIDE, class_colour, draw


def found(boxes: List[List[float]], class_ids: List[int]) -> Detections:
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, np.array(class_ids, np.int32))


def count(picture: np.ndarray, class_id: int) -> int:
    return int((picture == np.array(class_colour(class_id), np.uint8)).all(axis=2).sum())


@pytest.mark.parametrize("size", [(600, 800), (3000, 4000), (64, 48), (512, 16)])
def test_a_box_and_its_label_are_drawn_in_the_colour_of_the_class_at_any_size(size: Tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    height, width = size
    picture = draw(image, found([[width * 0.2, height * 0.3, width * 0.8, height * 0.9]], [1]), ["cat", "dog"])
    assert count(picture, 1) > 0 and count(picture, 0) == 0
    label = picture[: picture.shape[0] // 2]
    # Smoothed strokes of OpenCV 4 do not quite reach black or white.
    assert ((label <= 15) | (label >= 240)).all(axis=2).any(), "no text on the label"


def test_a_small_picture_is_enlarged_by_a_whole_factor() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 60, 3), dtype=np.uint8)
    picture = draw(image, found([], []), ["cat"])
    assert picture.shape == (600, 360, 3)
    np.testing.assert_array_equal(picture[::6, ::6], image)


def test_a_frame_of_a_video_keeps_its_size_however_small() -> None:
    picture = draw(np.zeros((48, 64, 3), np.uint8), found([[8, 8, 40, 40]], [0]), ["cat"], enlarge=False)
    assert picture.shape == (48, 64, 3) and count(picture, 0) > 0


def test_a_large_picture_keeps_its_size_and_the_original_is_not_touched() -> None:
    image = np.full((MIN_SIDE, 700, 3), 9, np.uint8)
    picture = draw(image, found([[1, 1, 600, 400]], [0]), ["cat"])
    assert picture.shape == image.shape and (image == 9).all()


def test_without_detections_the_picture_is_the_image() -> None:
    image = np.full((600, 600, 3), 77, np.uint8)
    np.testing.assert_array_equal(draw(image, found([], []), []), image)


@pytest.mark.parametrize(
    "box",
    [
        [-1e9, -1e9, 1e9, 1e9],
        [-50, -50, -10, -10],
        [900, 900, 1000, 1000],
        [300, 300, 300, 300],
        [400, 400, 200, 200],
        [599, 0, 599.5, 1],
    ],
)
def test_boxes_outside_the_picture_or_without_an_area_break_nothing(box: List[float]) -> None:
    picture = draw(np.zeros((600, 600, 3), np.uint8), found([box], [0]), ["a rather long class name"])
    assert picture.shape == (600, 600, 3)


def test_a_label_stays_inside_the_picture_at_every_edge() -> None:
    corners: List[List[float]] = [[0, 0, 40, 40], [560, 0, 600, 40], [0, 560, 40, 600], [560, 560, 600, 600]]
    for corner in corners:
        picture = draw(np.zeros((600, 600, 3), np.uint8), found([corner], [0]), ["long class name"])
        assert count(picture, 0) > 1500


def test_the_best_detection_lies_on_top() -> None:
    box = [100.0, 100.0, 400.0, 400.0]
    picture = draw(np.zeros((600, 600, 3), np.uint8), found([box, box], [0, 1]), ["cat", "dog"])
    assert tuple(picture[400, 250]) == class_colour(0)


def test_a_class_without_a_name_is_shown_and_a_name_beyond_ascii_too() -> None:
    image = np.zeros((600, 600, 3), np.uint8)
    for names in ([], ["交通灯"]):
        assert count(draw(image, found([[100, 100, 300, 300]], [0]), names), 0) > 0


def test_the_colours_of_eighty_classes_differ() -> None:
    assert len({class_colour(class_id) for class_id in range(80)}) == 80
