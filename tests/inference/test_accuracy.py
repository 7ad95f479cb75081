"""AP in numpy against pycocotools, on real annotations with detections of every kind."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from inference.accuracy import average_precision, breakdown
from inference.annotations import Annotations, TrueBox, read_annotations
from inference.decode import Detections

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


def detections(*rows: Tuple[List[float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([index for _, _, index in rows], np.int32),
    )


def truth_of(*boxes: Tuple[int, int, List[float], int], images: int = 2) -> Annotations:
    """Annotations of images 1, 2, .. with boxes of (image, category, xywh, iscrowd); the categories are 2 and 90."""
    found: Dict[int, List[TrueBox]] = {number: [] for number in range(1, images + 1)}
    for image, category, (left, top, width, height), crowd in boxes:
        found[image].append(TrueBox(category, (left, top, width, height), width * height, bool(crowd)))
    names = {number: f"{number}.jpg" for number in found}
    return Annotations("sha256:" + 64 * "0", names, found, ((2, "bicycle"), (90, "toothbrush")))


def pycocotools(truth: Annotations, found: Dict[int, Detections], max_detections: int) -> List[float]:
    precision = reference(truth, found, max_detections)[:, :, :, 0]
    every, half = precision[precision > -1], precision[0][precision[0] > -1]
    return [float(every.mean()), float(half.mean())] if every.size else []


def reference(truth: Annotations, found: Dict[int, Detections], max_detections: int) -> np.ndarray:
    """What pycocotools gives: float64 [thresholds, recalls, classes, areas], -1 where nothing is annotated."""
    coco_module = pytest.importorskip("pycocotools.coco", reason="pycocotools is the reference")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    ids = [identity for identity, _ in truth.categories]
    true = [
        dict(image_id=image, category_id=box.category_id, bbox=list(box.xywh), area=box.area, iscrowd=int(box.crowd))
        for image, boxes in truth.boxes.items()
        for box in boxes
    ]
    results = []
    for image, one in found.items():
        boxes = one.boxes_xyxy.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for box, score, index in zip(boxes.tolist(), one.scores.tolist(), one.class_ids.tolist()):
            entry = {"image_id": image, "category_id": ids[index], "bbox": box, "score": score}
            results.append({**entry, "area": box[2] * box[3], "iscrowd": 0})

    def coco(entries: List[Any]) -> Any:
        made = coco_module.COCO()
        made.dataset = {
            "images": [{"id": image} for image in truth.images],
            "categories": [{"id": identity, "name": name} for identity, name in truth.categories],
            "annotations": [{**entry, "id": number} for number, entry in enumerate(entries, 1)],
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = cocoeval.COCOeval(coco(true), coco(results), "bbox")
        evaluation.params.maxDets = [min(1, max_detections), min(10, max_detections), max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"][:, :, :, :, 2])


def mean(precision: np.ndarray) -> Any:
    known = precision[precision > -1]
    return pytest.approx(float(known.mean()), abs=1e-6) if known.size else None


def noisy(truth: Annotations, seed: int, kind: str) -> Dict[int, Detections]:
    """The truth's boxes: shifted, missing, doubled, of a wrong class, with equal scores, inside out, or made up."""
    rng = np.random.default_rng(seed)
    positions = {identity: position for position, (identity, _) in enumerate(truth.categories)}
    found = {}
    for image, boxes in truth.boxes.items():
        rows = []
        for box in boxes:
            for _ in range(int(rng.integers(0, 4))):
                left, top, width, height = box.xywh
                corners = np.array([left, top, left + width, top + height])
                corners += rng.normal(0, 0.06, 4) * (width + height) / 2
                position = positions[box.category_id] if rng.random() < 0.85 else int(rng.integers(len(positions)))
                score = float(rng.integers(1, 6)) / 5 if kind == "equal scores" else float(rng.random())
                if kind == "strange boxes" and rng.random() < 0.2:
                    corners = corners[[2, 1, 0, 3]] if rng.random() < 0.5 else corners * 1e5
                rows.append((corners.tolist(), score, position))
        for _ in range(int(rng.integers(0, 6))):
            left, top, width, height = rng.random(4) * 200
            rows.append(
                ([left, top, left + width, top + height], float(rng.random()), int(rng.integers(len(positions))))
            )
        found[image] = detections(*sorted(rows, key=lambda row: -row[1]))
    return found


@pytest.mark.parametrize("kind", ["plain", "equal scores", "strange boxes"])
@pytest.mark.parametrize("crowds", [0.0, 0.2])
@pytest.mark.parametrize("max_detections", [100, 2])
def test_figures_are_those_of_pycocotools_on_real_annotations(
    coco_mini: Path, kind: str, crowds: float, max_detections: int
) -> None:
    truth = read_annotations(coco_mini / "annotations" / "instances_val2017.json")
    rng = np.random.default_rng(0)
    for boxes in truth.boxes.values():
        boxes[:] = [box._replace(crowd=bool(rng.random() < crowds)) for box in boxes]
    found = noisy(truth, 0, kind)
    ours = average_precision(truth, found, max_detections=max_detections)
    assert [*ours] == pytest.approx(pycocotools(truth, found, max_detections), abs=1e-6)
    assert 0.05 < (ours.ap or 0) < (ours.ap50 or 0) < 0.95


@pytest.mark.parametrize("kind", ["plain", "strange boxes"])
def test_sizes_and_classes_are_those_of_pycocotools_too(coco_mini: Path, kind: str) -> None:
    truth = read_annotations(coco_mini / "annotations" / "instances_val2017.json")
    rng = np.random.default_rng(3)
    for boxes in truth.boxes.values():
        boxes[:] = [box._replace(crowd=bool(rng.random() < 0.1)) for box in boxes]
    found = noisy(truth, 3, kind)
    ours, theirs = breakdown(truth, found), reference(truth, found, 100)
    assert ours.whole == average_precision(truth, found)
    assert ours.ap75 == mean(theirs[5, :, :, 0])
    assert list(ours.by_size) == ["small", "medium", "large"]
    assert list(ours.by_size.values()) == [mean(theirs[:, :, :, area]) for area in (1, 2, 3)]
    assert 0 < (ours.by_size["small"] or 0) != ours.by_size["large"]
    by_class = {name: mean(theirs[:, :, index, 0]) for index, (_, name) in enumerate(truth.categories)}
    assert ours.by_class == by_class and None in by_class.values()


def test_many_small_cases_agree_with_pycocotools() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        boxes = [
            (int(rng.integers(1, 3)), int(rng.choice([2, 90])), [*rng.integers(0, 4, 2) * 10.0, 20.0, 20.0], int(crowd))
            for crowd in rng.random(int(rng.integers(0, 6))) < 0.3
        ]
        truth = truth_of(*boxes)
        found = noisy(truth, seed, "equal scores")
        ours = [figure for figure in average_precision(truth, found) if figure is not None]
        assert ours == pytest.approx(pycocotools(truth, found, 100), abs=1e-6), seed


def test_perfect_detections_have_an_ap_of_one() -> None:
    truth = truth_of((1, 90, [10, 10, 50, 50], 0), (2, 90, [200, 100, 60, 40], 0))
    found = {1: detections(([10, 10, 60, 60], 0.9, 1)), 2: detections(([200, 100, 260, 140], 0.8, 1))}
    assert average_precision(truth, found) == pytest.approx((1, 1))


def test_a_looser_box_counts_up_to_its_overlap() -> None:
    truth = truth_of((1, 90, [0, 0, 100, 100], 0), images=1)
    assert average_precision(truth, {1: detections(([0, 0, 100, 72], 0.9, 1))}) == pytest.approx((0.5, 1))
    assert average_precision(truth, {1: detections(([0, 0, 100, 50], 0.9, 1))}) == pytest.approx((0.1, 1))


def test_nothing_found_is_zero_and_nothing_annotated_is_no_ap() -> None:
    assert average_precision(truth_of((1, 2, [0, 0, 9, 9], 0)), {1: NOTHING, 2: NOTHING}) == (0, 0)
    assert average_precision(truth_of(), {1: detections(([0, 0, 9, 9], 0.9, 0)), 2: NOTHING}) == (None, None)
    nothing = breakdown(truth_of(), {1: NOTHING, 2: NOTHING})
    assert {nothing.ap75, *nothing.by_size.values(), *nothing.by_class.values()} == {None}


def test_an_object_between_two_sizes_belongs_to_both() -> None:
    truth = truth_of((1, 90, [0, 0, 32, 32], 0), images=1)
    found = breakdown(truth, {1: detections(([0, 0, 32, 32], 0.9, 1))})
    assert found.by_size == {"small": pytest.approx(1), "medium": pytest.approx(1), "large": None}


def test_a_crowd_is_neither_found_nor_missed() -> None:
    truth = truth_of((1, 90, [0, 0, 300, 300], 1), (1, 90, [400, 0, 50, 50], 0), images=1)
    inside = detections(([10, 10, 60, 60], 0.9, 1), ([20, 20, 70, 70], 0.8, 1), ([400, 0, 450, 50], 0.7, 1))
    assert average_precision(truth, {1: inside}) == pytest.approx((1, 1))


def test_only_the_best_detections_of_an_image_count() -> None:
    truth = truth_of((1, 90, [0, 0, 100, 100], 0), images=1)
    found = {1: detections(([200, 200, 300, 300], 0.9, 1), ([0, 0, 100, 100], 0.8, 1))}
    assert average_precision(truth, found, max_detections=1).ap == 0
    assert average_precision(truth, found, max_detections=2).ap == pytest.approx(0.5)


def test_the_annotations_that_were_read_are_those_of_the_file(coco_mini: Path) -> None:
    path = coco_mini / "annotations" / "instances_val2017.json"
    document, truth = json.loads(path.read_bytes()), read_annotations(path)
    assert truth.images == {one["id"]: one["file_name"] for one in document["images"]}
    assert sum(map(len, truth.boxes.values())) == len(document["annotations"])
