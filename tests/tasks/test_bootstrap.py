"""The bootstrap scores a draw as COCO's own code scores the images that were drawn, and says what a loss proves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.measurements import Loss
from inference.accuracy import average_precision
from inference.annotations import Annotations, TrueBox, read_annotations
from inference.decode import Detections
from tasks.bootstrap import Proof, _scores, _tables, images_needed, judged_images, paired_loss, proof

CATEGORIES = ((1, "circle"), (2, "square"), (3, "never"))


def some(seed: int, images: int) -> tuple[Annotations, dict[int, Detections]]:
    """Boxes of two classes, a crowd among them, and detections that find most of them, worse with each image."""
    rng = np.random.default_rng(seed)
    boxes: dict[int, list[TrueBox]] = {}
    found: dict[int, Detections] = {}
    for image in range(1, images + 1):
        corners = rng.uniform(0, 200, (rng.integers(0, 5), 2))
        sides = rng.uniform(10, 80, corners.shape)
        kinds = rng.integers(1, 3, len(corners))
        boxes[image] = [
            TrueBox(int(kind), (*map(float, corner), *map(float, side)), float(side.prod()), bool(rng.random() < 0.1))
            for kind, corner, side in zip(kinds, corners, sides, strict=True)
        ]
        moved = corners + rng.normal(0, 3, corners.shape)
        extra = rng.uniform(0, 200, (rng.integers(0, 4), 2))
        starts = np.concatenate([moved, extra])
        ends = starts + np.concatenate([sides, np.full_like(extra, 30)])
        classes = np.concatenate([kinds - 1, rng.integers(0, 2, len(extra))])
        # Ties between images, none within one: of those the copies of an image would change places.
        scores = np.sort(rng.choice(np.arange(0.1, 0.9, 0.08), len(starts), replace=False))[::-1]
        found[image] = Detections(
            np.concatenate([starts, ends], axis=1).astype(np.float32),
            scores.astype(np.float32),
            classes.astype(np.int32),
        )
    return Annotations("", {image: f"{image}.jpg" for image in boxes}, boxes, CATEGORIES), found


def repeated(truth: Annotations, found: dict[int, Detections], times: list[int]) -> float | None:
    """AP where each image is there as often as it was drawn."""
    boxes, seen = {}, {}
    for image, count in zip(truth.images, times, strict=True):
        for copy in range(count):
            boxes[1000 * image + copy] = truth.boxes[image]
            seen[1000 * image + copy] = found[image]
    copies = truth._replace(images={image: str(image) for image in boxes}, boxes=boxes)
    return average_precision(copies, seen).ap


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), images=st.integers(1, 6), data=st.data())
def test_a_draw_is_scored_as_the_images_that_were_drawn(seed: int, images: int, data: st.DataObject) -> None:
    truth, found = some(seed, images)
    times = data.draw(st.lists(st.integers(0, 3), min_size=images, max_size=images))
    (score,) = _scores(_tables(judged_images(truth, found)), np.array([times], dtype=float))
    expected = repeated(truth, found, times)
    assert np.isnan(score) if expected is None else score == pytest.approx(expected, abs=1e-12)


def loss_of(
    truth: Annotations, reference: dict[int, Detections], candidate: dict[int, Detections], *, draws: int
) -> Loss | None:
    return paired_loss(judged_images(truth, reference), judged_images(truth, candidate), draws=draws)


def test_a_model_loses_nothing_against_itself() -> None:
    truth, found = some(1, 20)
    assert loss_of(truth, found, found, draws=50) == Loss(drop=0.0, low=0.0, high=0.0, images=20)


def test_the_loss_is_the_difference_of_the_scores_and_lies_between_its_bounds() -> None:
    truth, found = some(2, 40)
    worse = {image: _without_best(one) if image % 3 == 0 else one for image, one in found.items()}
    loss = loss_of(truth, found, worse, draws=200)
    before, after = average_precision(truth, found).ap, average_precision(truth, worse).ap
    assert loss is not None and before is not None and after is not None
    assert loss.drop == pytest.approx(before - after)
    assert loss.low < loss.drop < loss.high and loss.low > 0
    assert loss_of(truth, found, worse, draws=200) == loss


def test_what_draws_are_off_by_is_taken_back_and_not_counted_twice() -> None:
    truth, found = some(5, 12)
    worse = {image: _without_best(one) if image % 3 == 0 else one for image, one in found.items()}
    loss = loss_of(truth, found, worse, draws=400)
    before, after = judged_images(truth, found), judged_images(truth, worse)
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=400)
    drops = _scores(_tables(before), drawn.astype(float)) - _scores(_tables(after), drawn.astype(float))
    middle = float(np.nanmedian(drops))
    assert loss is not None and abs(middle - loss.drop) > 1e-3
    # The draws lie on one side of the set's own loss, the bounds on the other.
    assert (middle < loss.drop) is ((loss.low + loss.high) / 2 > loss.drop)
    assert loss.low == pytest.approx(2 * loss.drop - float(np.nanquantile(drops, 0.95)))


def test_more_images_of_the_same_kind_bring_the_bounds_together() -> None:
    def width(images: int) -> float:
        truth, found = some(3, images)
        worse = {image: _without_best(one) if image % 3 == 0 else one for image, one in found.items()}
        loss = loss_of(truth, found, worse, draws=300)
        assert loss is not None
        return loss.high - loss.low

    assert width(400) < 0.6 * width(40)


def test_pairing_is_surer_than_two_scores_apart() -> None:
    truth, found = some(4, 60)
    worse = {image: _without_best(one) if image == 1 else one for image, one in found.items()}
    loss = loss_of(truth, found, worse, draws=200)
    nothing = {
        image: Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
        for image in found
    }
    alone = loss_of(truth, found, nothing, draws=200)
    assert loss is not None and alone is not None
    assert loss.high - loss.low < 0.3 * (alone.high - alone.low)


def test_without_objects_there_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}))
    truth = read_annotations(path)
    found = {1: Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))}
    assert loss_of(truth, found, found, draws=10) is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.001, 0.005, Proof.KEPT), (0.001, 0.0051, Proof.OPEN), (0.0051, 0.02, Proof.BROKEN), (0.005, 0.02, Proof.OPEN)],
)
def test_a_limit_is_kept_or_broken_only_with_the_confidence(low: float, high: float, expected: Proof) -> None:
    assert proof(Loss(drop=(low + high) / 2, low=low, high=high, images=10), 0.005) is expected


@pytest.mark.parametrize(
    ("drop", "low", "high", "expected"),
    [
        (0.003, 0.0, 0.006, 230),  # (0.003 / 0.002)² of 100
        (0.008, 0.002, 0.014, 400),  # that it is broken: (0.006 / 0.003)² of 100
        (0.001, 0.0, 0.002, 100),  # decided already
        (0.005, 0.0, 0.01, None),
        (0.0049985, 0.0, 0.012, None),  # more than anybody has
    ],
)
def test_how_many_images_would_decide(drop: float, low: float, high: float, expected: int | None) -> None:
    assert images_needed(Loss(drop=drop, low=low, high=high, images=100), 0.005) == expected


def _without_best(found: Detections) -> Detections:
    return Detections(found.boxes_xyxy[1:], found.scores[1:], found.class_ids[1:])
