"""Scores of two models belong together where both have found as many objects."""

from __future__ import annotations

import numpy as np
import pytest

from inference.annotations import Annotations, TrueBox
from inference.decode import Detections
from tasks.bootstrap import judged_images
from tasks.score_map import LEVELS, matching_scores

OBJECTS = 40
BOX = (10.0, 10.0, 20.0, 20.0)
TRUTH = Annotations(
    "",
    {image: f"{image}.jpg" for image in range(OBJECTS)},
    {image: [TrueBox(1, BOX, 400.0, False)] for image in range(OBJECTS)},
    ((1, "circle"),),
)


def found(scores: np.ndarray, *, away: bool = False) -> dict[int, Detections]:
    """One detection an image, on the object or elsewhere."""
    left = 100.0 if away else 10.0
    box = np.array([[left, 10.0, left + 20, 30.0]], np.float32)
    return {
        image: Detections(box, np.array([score], np.float32), np.zeros(1, np.int32))
        for image, score in enumerate(scores.tolist())
    }


SCORES = np.linspace(0.1, 0.9, OBJECTS)


def pairs_of(
    reference: dict[int, Detections], candidate: dict[int, Detections], *, floor: float = 0.001
) -> tuple[tuple[float, float], ...]:
    return matching_scores(judged_images(TRUTH, reference), judged_images(TRUTH, candidate), floor=floor)


def test_a_model_belongs_to_itself() -> None:
    pairs = pairs_of(found(SCORES), found(SCORES))
    assert len(pairs) > 10 and all(level == pytest.approx(score, abs=1e-4) for level, score in pairs)


def test_scores_that_all_fell_by_a_fifth_are_met_a_fifth_lower() -> None:
    pairs = dict(pairs_of(found(SCORES), found(0.8 * SCORES)))
    assert [0.8 * level for level in pairs] == pytest.approx(list(pairs.values()), abs=1e-4)


def test_below_what_the_protocol_keeps_nothing_is_said() -> None:
    levels = [level for level, _ in pairs_of(found(SCORES), found(SCORES), floor=0.35)]
    assert levels[0] == 0.35


def test_what_is_no_object_says_nothing() -> None:
    assert pairs_of(found(SCORES, away=True), found(SCORES)) == ()


def test_where_few_objects_are_found_nothing_is_said() -> None:
    assert max(level for level, _ in pairs_of(found(SCORES), found(SCORES))) <= 0.7


def test_what_the_other_model_never_finds_has_no_score() -> None:
    half = {
        image: one if image >= OBJECTS // 2 else found(SCORES, away=True)[image] for image, one in found(SCORES).items()
    }
    pairs = dict(pairs_of(found(SCORES), half))
    assert LEVELS[0] not in pairs and 0.6 in pairs
