from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.coco import MAX_FILE_BYTES, check_files, parse_dataset, read_dataset
from tasks.coco_classes import COCO_CATEGORIES, COCO_CLASS_NAMES
from tasks.errors import BadAnnotations

GOOD: dict[str, Any] = {
    "info": {"year": 2017},
    "images": [
        {"id": 7, "file_name": "b.jpg", "width": 100, "height": 80, "licence": 1},
        {"id": 3, "file_name": "sub/a.jpg", "width": 64, "height": 64},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 90, "bbox": [10, 20, 30.5, 40], "iscrowd": 0, "area": 99.5},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [-1, 0, 102, 80], "iscrowd": 1},
    ],
    "categories": [{"id": 90, "name": "toothbrush"}, {"id": 2, "name": "bicycle"}],
}


def parse(document: Any) -> Any:
    return parse_dataset(json.dumps(document).encode(), "set.json")


def refused(change: Callable[[dict[str, Any]], Any]) -> BadAnnotations:
    document = copy.deepcopy(GOOD)
    change(document)
    with pytest.raises(BadAnnotations) as caught:
        parse(document)
    return caught.value


def test_a_sound_file_gives_images_boxes_and_classes_by_id() -> None:
    dataset = parse(GOOD)
    assert [(image.id, image.file_name) for image in dataset.images] == [(3, "sub/a.jpg"), (7, "b.jpg")]
    assert dataset.categories == ((2, "bicycle"), (90, "toothbrush"))
    assert dataset.category_ids == (2, 90)
    assert dataset.class_names == ("bicycle", "toothbrush")
    assert dataset.boxes[3] == ()
    first, crowd = dataset.boxes[7]
    assert (first.xywh, first.category_id, first.iscrowd, first.area) == ((10.0, 20.0, 30.5, 40.0), 90, False, 99.5)
    assert (crowd.iscrowd, crowd.area) == (True, 102.0 * 80)


def test_the_official_classes_are_those_of_the_annotations(coco_mini: Path) -> None:
    dataset = read_dataset(coco_mini / "annotations" / "instances_val2017.json")
    assert dataset.categories == COCO_CATEGORIES
    assert len(COCO_CLASS_NAMES) == 80
    assert (len(dataset.images), sum(map(len, dataset.boxes.values()))) == (100, 709)
    check_files(dataset, coco_mini / "val2017")


def test_a_subset_keeps_the_classes() -> None:
    subset = parse(GOOD).subset([3])
    assert [image.id for image in subset.images] == [3]
    assert set(subset.boxes) == {3}
    assert len(subset.categories) == 2
    with pytest.raises(KeyError):
        subset.subset([7])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["annotations"][0].update(image_id=8), "names image 8"),
        (lambda d: d["annotations"][0].update(category_id=3), "names category 3"),
        (lambda d: d["annotations"][0].update(id=2), "id 2 is there twice"),
        (lambda d: d["images"][0].update(id=3), "id 3 is there twice"),
        (lambda d: d["images"][0].update(file_name="sub/a.jpg"), "'sub/a.jpg' is there twice"),
        (lambda d: d["categories"][0].update(name="bicycle"), "'bicycle' is there twice"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, float("nan"), 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, float("inf"), 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, 10**400, 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, "1", 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, True, 1]), "not four finite numbers"),
        (lambda d: d["annotations"][0].update(bbox=[5, 5, -1, 1]), "negative width or height"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, 101.5, 80]), "1.5 px beyond its 100 x 80 image"),
        (lambda d: d["annotations"][0].update(bbox=[0, -2, 10, 10]), "2 px beyond"),
        (lambda d: d["annotations"][0].update(area=-1), "area -1"),
        (lambda d: d["annotations"][0].update(iscrowd=2), "iscrowd 2"),
        (lambda d: d["annotations"].append([1]), "annotations[2] is a list"),
        (lambda d: d["images"][0].update(width=0), "not whole pixels"),
        (lambda d: d["images"][0].update(height=1.5), "not whole pixels"),
        (lambda d: d["images"][0].update(id="7"), "'7', not a whole number"),
        (lambda d: d["images"][0].update(id=True), "True, not a whole number"),
        (lambda d: d["images"][0].update(file_name="../secret"), "not the name of a file inside"),
        (lambda d: d["images"][0].update(file_name="/etc/passwd"), "not the name of a file inside"),
        (lambda d: d["images"][0].update(file_name="a\0.jpg"), "not the name of a file inside"),
        (lambda d: d["images"][0].update(file_name="\ud800.jpg"), "not the name of a file inside"),
        (lambda d: d["images"][0].update(file_name="."), "not the name of a file inside"),
        (lambda d: d["categories"][0].update(name=" "), "not a text"),
        (lambda d: d.pop("images"), "'images' is missing or no list"),
        (lambda d: d.update(annotations={}), "'annotations' is missing or no list"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    error = refused(change)
    assert words in str(error)
    assert error.name == "set.json"


def test_a_box_may_reach_one_pixel_over_the_edge_and_have_no_area() -> None:
    document = copy.deepcopy(GOOD)
    document["annotations"][0]["bbox"] = [99.5, 79, 1.5, 0]
    assert parse(document).boxes[7][0].xywh == (99.5, 79.0, 1.5, 0.0)


def test_ten_problems_are_shown_and_all_are_counted() -> None:
    def change(document: dict[str, Any]) -> None:
        document["annotations"] = [{"id": number, "image_id": 999} for number in range(25)]
        document["images"][0]["width"] = -1

    error = refused(change)
    assert error.total == 26
    assert len(error.problems) == 10
    assert "and 16 more" in str(error)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[1]", b"null", b'{"images": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "not utf-8", "list", "null", "number of 5000 digits"],
)
def test_what_is_no_annotation_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnnotations):
        parse_dataset(data)


@pytest.mark.parametrize("depth", [100, 900, 970, 990, 100_000])
def test_deep_nesting_is_refused_without_a_crash(depth: int) -> None:
    good = json.dumps(GOOD)
    nested = "[" * depth + "]" * depth
    with pytest.raises(BadAnnotations):
        parse_dataset(good.replace("[10, 20, 30.5, 40]", nested).encode())


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(BadAnnotations, match=f"more than the {MAX_FILE_BYTES}"):
        read_dataset(path)


@pytest.mark.parametrize("name", ["gone.json", ".", "nul\0.json"])
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadAnnotations, match="cannot be read"):
        read_dataset(tmp_path / name)


def test_missing_image_files_are_listed(tmp_path: Path) -> None:
    dataset = parse(GOOD)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    with pytest.raises(BadAnnotations, match=r"image 7: there is no file b\.jpg") as caught:
        check_files(dataset, tmp_path)
    assert caught.value.total == 1
    shutil.copy(tmp_path / "sub" / "a.jpg", tmp_path / "b.jpg")
    check_files(dataset, tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.sampled_from(["images", "annotations", "categories"]),
    st.integers(0, 1),
    st.sampled_from(sorted({key for part in ("images", "annotations", "categories") for key in GOOD[part][0]})),
    json_values,
)
def test_any_value_anywhere_is_read_or_refused(part: str, index: int, key: str, value: Any) -> None:
    document = copy.deepcopy(GOOD)
    document[part][index][key] = value
    try:
        assert len(parse(document).images) == 2
    except BadAnnotations:
        return
