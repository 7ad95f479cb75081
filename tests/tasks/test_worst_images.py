from __future__ import annotations

import pytest

from tasks.worst_images import f1_score, match, worst_images
from tests.tasks.test_accuracy import NOTHING, dataset, detections

TRUTH = dataset((1, 90, [0, 0, 100, 100]), (1, 2, [200, 200, 100, 100]), (2, 90, [0, 0, 50, 50]), images=3)
BOTH = detections(([0, 0, 100, 100], 0.9, 1), ([200, 200, 300, 300], 0.8, 0))
ONE = detections(([0, 0, 50, 50], 0.9, 1))


def test_the_images_that_lose_most_come_first() -> None:
    reference = {1: BOTH, 2: ONE, 3: NOTHING}
    candidate = {1: detections(([0, 0, 100, 100], 0.9, 1)), 2: NOTHING, 3: NOTHING}
    worst = worst_images(TRUTH, reference, candidate, k=5)
    assert [(item.image_id, item.file_name) for item in worst] == [(2, "2.jpg"), (1, "1.jpg")]
    assert [item.loss for item in worst] == pytest.approx([1, 1 - 2 / 3])
    assert worst_images(TRUTH, reference, candidate, k=1) == worst[:1]


def test_images_that_lose_nothing_are_not_named() -> None:
    better = {1: BOTH, 2: ONE, 3: NOTHING}
    assert worst_images(TRUTH, better, better, k=5) == []
    assert worst_images(TRUTH, {1: NOTHING, 2: NOTHING, 3: NOTHING}, better, k=5) == []


def test_equal_losses_come_by_image_id() -> None:
    reference = {1: BOTH, 2: ONE, 3: NOTHING}
    worst = worst_images(TRUTH, reference, {1: NOTHING, 2: NOTHING, 3: NOTHING}, k=5)
    assert [item.image_id for item in worst] == [1, 2]


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (BOTH, 1),
        (NOTHING, 0),
        (detections(([0, 0, 100, 100], 0.9, 1)), 2 / 3),
        (detections(([0, 0, 100, 100], 0.9, 0)), 0),  # the wrong class
        (detections(([0, 0, 100, 49], 0.9, 1)), 0),  # IoU 0.49
        (detections(([0, 0, 100, 50], 0.9, 1)), 2 / 3),  # IoU 0.5
        (detections(([0, 0, 100, 100], 0.29, 1)), 0),  # too low a score
        (detections(([0, 0, 100, 100], 0.9, 1), ([0, 0, 100, 100], 0.8, 1)), 2 / 4),  # found twice
        (detections(([5, 5, 5, 5], 0.9, 1)), 0),  # without an area
    ],
)
def test_f1_counts_what_overlaps_an_object_of_its_class(found, score: float) -> None:  # type: ignore[no-untyped-def]
    assert f1_score(TRUTH.boxes[1], found, TRUTH.category_ids) == pytest.approx(score)


def test_a_match_names_what_is_true_invented_and_missed() -> None:
    found = detections(([0, 0, 100, 100], 0.4, 1), ([0, 0, 100, 100], 0.9, 1), ([5, 5, 9, 9], 0.2, 0))
    result = match(TRUTH.boxes[1], found, TRUTH.category_ids)
    assert (result.true, result.invented) == ((1,), (0,))  # the better one is true; one is too weak to count
    assert [box.xywh for box in result.missed] == [(200, 200, 100, 100)]


def test_each_detection_takes_the_object_that_it_overlaps_most() -> None:
    truth = dataset((1, 90, [0, 0, 100, 100]), (1, 90, [0, 20, 100, 100]), images=1)
    found = detections(([0, 20, 100, 120], 0.9, 1), ([0, 0, 100, 60], 0.8, 1))
    assert f1_score(truth.boxes[1], found, truth.category_ids) == 1


def test_an_empty_image_is_right_when_nothing_is_found() -> None:
    assert f1_score((), NOTHING, (2, 90)) == 1
    assert f1_score((), ONE, (2, 90)) == 0


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    crowd = dataset((1, 90, [0, 0, 300, 300]), images=1, iscrowd=1).boxes[1]
    assert f1_score(crowd, ONE, (2, 90)) == 1
    assert f1_score(crowd, detections(([290, 290, 390, 390], 0.9, 1)), (2, 90)) == 0


def test_detections_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        worst_images(TRUTH, {1: BOTH}, {1: BOTH}, k=5)
