"""Detections in COCO's results format."""

from __future__ import annotations

import json
from typing import List

import numpy as np
import pytest

from inference.decode import Detections
from inference.results import category_ids, coco_entries, image_ids, summary


def detections(count: int = 1) -> Detections:
    boxes = np.tile(np.array([[10.5, 20.25, 110.5, 70.25]], np.float32), (count, 1))
    return Detections(boxes, np.linspace(0.9, 0.5, count, dtype=np.float32), np.arange(count, dtype=np.int32))


def test_a_box_is_left_top_width_height() -> None:
    (entry,) = coco_entries(139, "street.jpg", detections(), [5])
    assert entry == {
        "image_id": 139,
        "category_id": 5,
        "bbox": [10.5, 20.25, 100.0, 50.0],
        "score": 0.9,
        "file_name": "street.jpg",
    }


def test_the_entries_are_plain_json_with_one_for_each_detection() -> None:
    entries = json.loads(json.dumps(coco_entries(3, "c.jpg", detections(3), [1, 2, 3])))
    assert [(entry["image_id"], entry["category_id"]) for entry in entries] == [(3, 1), (3, 2), (3, 3)]
    assert coco_entries(3, "c.jpg", detections(0), [1, 2, 3]) == []


def test_the_entries_of_a_video_say_when() -> None:
    (entry,) = coco_entries(17, "street.mp4#17", detections(), [1], time_s=0.64049)
    assert entry["time_s"] == 0.64


def test_a_summary_names_the_classes_by_number() -> None:
    ids = np.array([1, 0, 1, 1], np.int32)
    found = Detections(np.zeros((4, 4), np.float32), np.full(4, 0.5, np.float32), ids)
    assert summary(found, ["cat", "dog"]) == "3 dog, 1 cat"
    assert summary(detections(0), ["cat", "dog"]) == "nothing"


def test_cocos_classes_keep_their_official_ids() -> None:
    ids = category_ids(["person", *map(str, range(78)), "toothbrush"])
    assert len(ids) == 80
    # Stop sign, backpack, handbag, wine glass, dining table, toilet and tv follow the gaps.
    assert [ids[i] for i in (0, 10, 11, 24, 26, 40, 60, 61, 62, 79)] == [1, 11, 13, 27, 31, 46, 67, 70, 72, 90]


def test_other_classes_are_numbered_from_one() -> None:
    assert category_ids(["cat", "dog"]) == [1, 2]


@pytest.mark.parametrize(
    "names, expected",
    [
        (["000000000139.jpg", "000000000632.jpg"], [139, 632]),
        (["000000000139.jpg", "street.jpg"], [1, 2]),
        (["12.jpg", "012.png"], [1, 2]),
        (["²³.jpg"], [1]),
        ([], []),
    ],
)
def test_an_image_is_numbered_as_its_name_is_where_all_names_are_numbers(names: List[str], expected: List[int]) -> None:
    assert image_ids(names) == expected
