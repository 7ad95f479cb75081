"""Pictures of what was found, missed and invented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tasks.report.gallery import (
    ANNOTATED,
    INVENTED,
    MAX_BYTES,
    MISSED,
    TRUE,
    Colour,
    Panel,
    Truth,
    annotated,
    counts,
    listed,
    side_by_side,
)
from tasks.worst_images import match
from tests.tasks.test_accuracy import NOTHING, dataset, detections

TRUTH_SET = dataset((1, 90, [40, 60, 120, 100]), images=1)
TRUTH = Truth(TRUTH_SET.boxes[1], TRUTH_SET.category_ids, TRUTH_SET.class_names)
GREY = np.full((400, 400, 3), 128, np.uint8)
RIGHT = detections(([40, 60, 160, 160], 0.9, 1))
WRONG = detections(([220, 220, 340, 340], 0.9, 0))


def drawn(*panels: Panel, image: np.ndarray = GREY, truth: Truth = TRUTH) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(side_by_side(image, truth, panels), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture).astype(int)


def coloured(picture: np.ndarray, colour: Colour) -> int:
    """How many pixels have nearly this colour; JPEG does not keep it exactly."""
    return int((np.abs(picture - np.array(colour)).max(axis=2) < 45).sum())


@pytest.mark.parametrize(
    ("found", "colours"),
    [(RIGHT, {TRUE}), (NOTHING, {MISSED}), (WRONG, {MISSED, INVENTED}), (detections(*[]), {MISSED})],
)
def test_what_is_found_missed_and_invented_has_its_own_colour(found, colours: set[Colour]) -> None:  # type: ignore[no-untyped-def]
    picture = drawn(Panel("INT8", found))
    assert {colour for colour in (TRUE, MISSED, INVENTED) if coloured(picture, colour) > 200} == colours


def test_each_side_shows_its_own_model() -> None:
    picture = drawn(Panel("FP32", RIGHT), Panel("INT8", NOTHING))
    left, right = np.array_split(picture, 2, axis=1)
    assert coloured(left, TRUE) > 200 > coloured(right, TRUE)
    assert coloured(right, MISSED) > 200 > coloured(left, MISSED)


def test_what_is_missed_and_invented_is_told_by_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr("tasks.report.gallery.cv2.putText", lambda picture, text, *more: written.append(text))
    drawn(Panel("INT8", WRONG), Panel("FP32", RIGHT))
    names = TRUTH_SET.class_names
    assert written[:3] == [f"missed {names[1]}", f"invented {names[0]} 0.90", "INT8: 0 found, 1 missed, 1 invented"]
    assert written[3:] == [f"{names[1]} 0.90", "FP32: 1 found, 0 missed, 0 invented"]


def test_lines_differ_where_colours_are_not_seen() -> None:
    """Down the left edge of a box at 46..196: a plain line is whole, a dashed one is not."""
    kinds = {}
    for name, found in {"found": RIGHT, "missed": NOTHING}.items():
        picture = drawn(Panel("INT8", found))
        light = picture.sum(axis=2)
        edge = light[140:200, 44:54] if name == "found" else light[140:200, 38:50]
        kinds[name] = edge.max(axis=1).std()
    assert kinds["missed"] > 4 * kinds["found"]


def test_the_annotated_boxes_are_drawn_and_listed() -> None:
    picture = cv2.imdecode(np.frombuffer(annotated(GREY, TRUTH), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert coloured(np.asarray(picture).astype(int)[30:], ANNOTATED) > 400
    assert listed(TRUTH) == (f"{TRUTH_SET.class_names[1]}: left 40, top 60, 120 x 100",)


def test_a_weak_detection_is_neither_drawn_nor_counted() -> None:
    weak = detections(([220, 220, 340, 340], 0.29, 0))
    assert coloured(drawn(Panel("INT8", weak)), INVENTED) < 200
    assert counts(match(TRUTH.boxes, weak, TRUTH.category_ids)) == "0 found, 1 missed, 0 invented"


def test_boxes_of_two_kinds_at_the_same_place_are_both_seen() -> None:
    both = detections(([40, 60, 160, 160], 0.9, 1), ([40, 60, 160, 160], 0.8, 0))
    picture = drawn(Panel("INT8", both))
    assert coloured(picture, TRUE) > 400 and coloured(picture, INVENTED) > 400


def test_a_box_that_reaches_far_outside_and_one_without_an_area_are_drawn() -> None:
    odd = detections(([-1e9, -1e9, 1e9, 1e9], 0.9, 1), ([5, 5, 5, 5], 0.8, 0))
    assert drawn(Panel("INT8", odd)).shape == drawn(Panel("INT8", NOTHING)).shape


def test_names_that_the_font_lacks_do_not_stop_the_drawing() -> None:
    named = Truth(TRUTH.boxes, TRUTH.category_ids, ("狗", "<b>Zebra</b>" * 20))
    assert drawn(Panel("INT8", RIGHT), truth=named).size > 0


def test_many_boxes_at_one_place_still_get_their_labels() -> None:
    many = detections(*[([100.0 + i, 100, 200, 200], 0.9, 0) for i in range(30)])
    assert coloured(drawn(Panel("INT8", many)), INVENTED) > 2000


@pytest.mark.parametrize("shape", [(30, 2000, 3), (2000, 30, 3), (1, 1, 3), (64, 64, 3)])
def test_pictures_of_any_shape_have_one_size_limit(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    data = side_by_side(noise, TRUTH, [Panel("FP32", RIGHT), Panel("INT8", WRONG)])
    assert len(data) <= MAX_BYTES
    assert data == side_by_side(noise, TRUTH, [Panel("FP32", RIGHT), Panel("INT8", WRONG)])
