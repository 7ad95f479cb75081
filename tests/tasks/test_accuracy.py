from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from inference.decode import Detections
from tasks.accuracy import average_precision, to_coco_results
from tasks.coco import Dataset, parse_dataset, read_dataset

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


def detections(*rows: tuple[list[float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([index for _, _, index in rows], np.int32),
    )


def dataset(*boxes: tuple[int, int, list[float]], images: int = 2, **more: Any) -> Dataset:
    """Return a data set of 400 x 400 images with boxes of (image id, category id, xywh)."""
    return parse_dataset(
        json.dumps(
            {
                "images": [
                    {"id": i, "file_name": f"{i}.jpg", "width": 400, "height": 400} for i in range(1, images + 1)
                ],
                "categories": [{"id": 90, "name": "toothbrush"}, {"id": 2, "name": "bicycle"}],
                "annotations": [
                    {"id": number, "image_id": image, "category_id": category, "bbox": box} | more
                    for number, (image, category, box) in enumerate(boxes)
                ],
            }
        ).encode()
    )


def noisy(truth: Dataset, seed: int) -> dict[int, Detections]:
    """Return detections that are the boxes of the truth, some shifted, some missing, some of a wrong class."""
    rng = np.random.default_rng(seed)
    found: dict[int, Detections] = {}
    for image in truth.images:
        rows = []
        for box in truth.boxes[image.id]:
            if rng.random() < 0.8:
                left, top, width, height = box.xywh
                corners = np.array([left, top, left + width, top + height]) + rng.normal(0, 0.05, 4) * (width + height)
                index = truth.category_ids.index(box.category_id) if rng.random() < 0.9 else int(rng.integers(80))
                rows.append((corners.tolist(), float(rng.random()), index))
        found[image.id] = detections(*sorted(rows, key=lambda row: -row[1]))
    return found


def test_figures_are_those_of_pycocotools_on_real_annotations(
    coco_mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations = coco_mini / "annotations" / "instances_val2017.json"
    truth = read_dataset(annotations)
    found = noisy(truth, seed=0)
    accuracy = average_precision(truth, found)
    assert capsys.readouterr().out == ""
    (tmp_path / "results.json").write_text(json.dumps(to_coco_results(truth, found)))
    coco = COCO(annotations)
    evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = (accuracy.ap, accuracy.ap50, accuracy.ap75, accuracy.ap_small, accuracy.ap_medium, accuracy.ap_large)
    assert ours == pytest.approx(evaluation.stats[:6])
    assert accuracy.images == 100
    assert 0.1 < (accuracy.ap or 0) < 0.9


def test_perfect_detections_have_an_ap_of_one_and_absent_sizes_none() -> None:
    truth = dataset((1, 90, [10, 10, 50, 50]), (2, 90, [200, 100, 60, 40]))
    found = {1: detections(([10, 10, 60, 60], 0.9, 1)), 2: detections(([200, 100, 260, 140], 0.8, 1))}
    accuracy = average_precision(truth, found)
    assert (accuracy.ap, accuracy.ap50, accuracy.ap75, accuracy.ap_medium) == pytest.approx((1, 1, 1, 1))
    assert (accuracy.ap_small, accuracy.ap_large) == (None, None)
    assert accuracy.per_class == {"bicycle": None, "toothbrush": pytest.approx(1)}


def test_a_looser_box_counts_up_to_its_overlap() -> None:
    truth = dataset((1, 90, [0, 0, 100, 100]), images=1)
    accuracy = average_precision(truth, {1: detections(([0, 0, 100, 72], 0.9, 1))})  # IoU 0.72
    assert (accuracy.ap50, accuracy.ap75, accuracy.ap) == pytest.approx((1, 0, 0.5))


def test_nothing_found_is_an_ap_of_zero() -> None:
    accuracy = average_precision(dataset((1, 90, [10, 10, 50, 50])), {1: NOTHING, 2: NOTHING})
    assert (accuracy.ap, accuracy.per_class["toothbrush"]) == (0, 0)


def test_nothing_annotated_is_no_ap_at_all() -> None:
    accuracy = average_precision(dataset(), {1: detections(([0, 0, 9, 9], 0.9, 0)), 2: NOTHING})
    assert {accuracy.ap, accuracy.ap50, accuracy.ap75, *accuracy.per_class.values()} == {None}
    assert average_precision(dataset(images=0), {}).ap is None


def test_a_crowd_is_neither_found_nor_missed() -> None:
    truth = dataset((1, 90, [0, 0, 300, 300]), images=1, iscrowd=1)
    assert average_precision(truth, {1: detections(([10, 10, 60, 60], 0.9, 1))}).ap is None


def test_only_the_best_detections_of_an_image_count() -> None:
    truth = dataset((1, 90, [0, 0, 100, 100]), images=1)
    found = {1: detections(([200, 200, 300, 300], 0.9, 1), ([0, 0, 100, 100], 0.8, 1))}
    assert average_precision(truth, found, max_detections=1).ap == 0
    assert average_precision(truth, found, max_detections=2).ap == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least 1"):
        average_precision(truth, found, max_detections=0)


def test_results_are_in_the_layout_of_coco() -> None:
    found = {2: NOTHING, 1: detections(([10, 20, 60, 40], 0.5, 1), ([0, 0, 1, 1], 0.25, 0))}
    assert to_coco_results(dataset(), found) == [
        {"image_id": 1, "category_id": 90, "bbox": [10, 20, 50, 20], "score": 0.5},
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 0.25},
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({1: NOTHING}, "1 of these are missing"),
        ({1: NOTHING, 2: NOTHING, 3: NOTHING}, "1 are of other images"),
        ({1: NOTHING, 2: detections(([0, 0, 1, 1], 0.5, 2))}, "image 2: a class id"),
        ({1: NOTHING, 2: detections(([0, 0, 1, 1], 0.5, -1))}, "image 2: a class id"),
        ({1: NOTHING, 2: detections(([0, 0, 1, 1], float("nan"), 1))}, "NaN"),
        ({1: NOTHING, 2: detections(([0, 0, float("inf"), 1], 0.5, 1))}, "infinite"),
    ],
)
def test_detections_that_do_not_fit_the_data_set_are_refused(found: dict[int, Detections], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        average_precision(dataset(), found)


def test_measuring_in_several_threads_leaves_the_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    truth = dataset((1, 2, [10, 10, 50, 50]), images=30)
    found = {image.id: detections(([10, 10, 60, 60], 0.9, 0)) for image in truth.images}
    before = sys.stdout
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: average_precision(truth, found), range(12)))
    assert sys.stdout is before
    print("still here")
    assert capsys.readouterr().out == "still here\n"
