"""Annotation files, sound and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from artifacts.digest import digest_bytes
from inference.annotations import TrueBox, class_of_category, dataset_digest, read_annotations
from inference.errors import AnnotationError

SOUND: Dict[str, Any] = {
    "images": [{"id": 7, "file_name": "b.png"}, {"id": 3, "file_name": "a.png"}],
    "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [5, 6, 7.5, 8], "iscrowd": 1, "area": 11.5},
    ],
}


def write(path: Path, **changes: Any) -> Path:
    file = path / "annotations.json"
    file.write_text(json.dumps({**SOUND, **changes}))
    return file


def test_images_boxes_and_categories_come_in_order_of_their_ids(tmp_path: Path) -> None:
    path = write(tmp_path)
    read = read_annotations(path)
    assert list(read.images.items()) == [(3, "a.png"), (7, "b.png")]
    assert read.boxes == {3: [], 7: [TrueBox(9, (1, 2, 3, 4), 12, False), TrueBox(2, (5, 6, 7.5, 8), 11.5, True)]}
    assert read.categories == ((2, "cat"), (9, "dog"))
    assert read.digest == digest_bytes(path.read_bytes())
    assert read.first(1).images == {3: "a.png"} and read.first(1).boxes == {3: []}


def test_the_digest_of_a_data_set_names_annotations_and_every_image_whatever_their_order() -> None:
    one, two = digest_bytes(b"1"), digest_bytes(b"2")
    pair = dataset_digest(one, [("b", two), ("a", one)])
    assert pair == digest_bytes(f"{one}\na {one}\nb {two}".encode()) == dataset_digest(one, [("a", one), ("b", two)])
    assert len({pair, dataset_digest(two, [("a", one), ("b", two)]), dataset_digest(one, [("a", one)])}) == 3


def test_categories_are_classes_by_name(tmp_path: Path) -> None:
    read = read_annotations(write(tmp_path))
    assert class_of_category(read, ("bird", "dog", "cat")) == {2: 0, 1: 1}
    with pytest.raises(AnnotationError, match="1 of 2 categories that the model does not find: dog"):
        class_of_category(read, ("cat", "bird"))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"images": None}, "'images' is missing"),
        ({"categories": [1]}, r"categories\[0\] is no object"),
        ({"images": [{"id": 7, "file_name": "../a"}]}, "not the name of a file inside"),
        ({"images": [{"id": 7, "file_name": "/etc/passwd"}]}, "not the name of a file inside"),
        ({"images": [{"id": 7, "file_name": "a"}, {"id": 7, "file_name": "b"}]}, "an id is there twice"),
        ({"images": [{"id": 7, "file_name": "a"}, {"id": 8, "file_name": "a"}]}, "same file_name is there twice"),
        ({"categories": [{"id": 9, "name": "dog"}]}, r"annotations\[1\] names an image or a category"),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]}]}, "names an image"),
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, -3, 4]}]}, "bbox is"),
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 1e400]}]}, "bbox is"),
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3]}]}, "bbox is"),
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4], "iscrowd": 2}]}, "iscrowd"),
    ],
)
def test_a_file_that_is_wrong_is_refused_saying_where(tmp_path: Path, changes: Any, words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        read_annotations(write(tmp_path, **changes))


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize("data", [b"", b"# Read me", b"\xff\xfe", b"[" * 100_000, b"[]"])
def test_what_is_no_such_json_is_refused_saying_what_is_wanted(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(data)
    what = "cannot be used" if data == b"[]" else r"annotations\.json is no JSON"
    with pytest.raises(AnnotationError, match=f"{what}.*Name a file in COCO's layout"):
        read_annotations(path)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / "missing.json")
