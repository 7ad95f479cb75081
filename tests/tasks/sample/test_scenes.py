"""Generated scenes are the same bytes every time, and their boxes are exact."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.coco import read_dataset
from tasks.sample import NUM_CLASSES
from tasks.sample.drawing import OUTLINES, place_shape
from tasks.sample.scenes import (
    CLASS_NAMES,
    MIN_VISIBLE,
    SHAPES,
    SPLIT_STARTS,
    SceneObject,
    render_scene,
    scene_index,
    write_scenes,
)


def test_a_scene_does_not_depend_on_what_was_drawn_before_it() -> None:
    alone, boxes = render_scene(3, 17)
    for index in (16, 18, 17):
        again, again_boxes = render_scene(3, index)
    assert np.array_equal(alone, again)
    assert boxes == again_boxes


def test_seed_and_index_each_make_another_scene() -> None:
    scenes = [render_scene(seed, index)[0].tobytes() for seed, index in ((0, 1), (1, 0), (0, 0), (1, 1))]
    assert len(set(scenes)) == 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 2**31 + 1000))
def test_every_scene_keeps_its_promises(seed: int, index: int) -> None:
    image, objects = render_scene(seed, index)
    height, width = image.shape[:2]
    assert image.dtype == np.uint8
    assert image.shape == (height, width, 3)
    assert 200 <= height <= 384
    assert 200 <= width <= 384
    assert len(objects) <= 6
    for item in objects:
        left, top, wide, high = item.bbox_xywh
        assert 1 <= item.category_id <= len(SHAPES)
        assert 0 <= left < left + wide <= width
        assert 0 <= top < top + high <= height
        assert 0 < item.area <= wide * high


def test_boxes_are_tight_about_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shape in a colour of its own on black, without the camera: the pixels then tell the box."""
    colours = iter(range(1, 200))

    def flat(_: np.random.Generator, height: int, width: int, __: object) -> np.ndarray:
        return np.full((height, width, 3), next(colours), np.uint8)

    def black(_: np.random.Generator, height: int, width: int, __: object) -> np.ndarray:
        return np.zeros((height, width, 3), np.uint8)

    monkeypatch.setattr("tasks.sample.scenes.fill", flat)
    monkeypatch.setattr("tasks.sample.scenes.background", black)
    monkeypatch.setattr("tasks.sample.scenes.camera", lambda _, canvas: canvas)
    seen = 0
    for index in range(15):
        image, objects = render_scene(5, index)
        drawn = [colour for colour in np.unique(image) if colour]
        assert len(drawn) == len(objects)
        for colour, item in zip(drawn, objects, strict=True):
            mask = (image[..., 0] == colour).astype(np.uint8)
            assert cv2.boundingRect(mask) == item.bbox_xywh
            assert int(mask.sum()) == item.area
            seen += 1
    assert seen > 30


@pytest.mark.parametrize("hidden", [0.45, 0.55])
def test_a_shape_that_would_hide_another_too_far_is_not_drawn(monkeypatch: pytest.MonkeyPatch, hidden: float) -> None:
    placed = iter([(0.0, 1.0), (1.0 - hidden, 2.0 - hidden)] + [(0.0, 0.0)] * 6)

    def bar(_: np.random.Generator, __: str, height: int, width: int) -> tuple[int, np.ndarray]:
        start, stop = next(placed)
        mask = np.zeros((height, width), bool)
        mask[:10, int(100 * start) : int(100 * stop)] = True
        return 1000, mask

    monkeypatch.setattr("tasks.sample.scenes.place_shape", bar)
    index = next(i for i in range(100) if _attempts(i) == 2)
    _, objects = render_scene(0, index)
    assert len(objects) == (2 if hidden < 1 - MIN_VISIBLE else 1)


def _attempts(index: int) -> int:
    """How many shapes a scene tries to place."""
    count = 0

    def counted(_: np.random.Generator, __: str, height: int, width: int) -> tuple[int, np.ndarray]:
        nonlocal count
        count += 1
        mask = np.zeros((height, width), bool)
        mask[count, 0] = True
        return 1, mask

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.sample.scenes.place_shape", counted)
        render_scene(0, index)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_the_area_of_its_kind(shape: str) -> None:
    stream = np.random.default_rng(8)
    share = {"disc": 0.785, "square": 0.83, "triangle": 0.5, "ring": 0.573, "cross": 0.48, "star": 0.34}
    for _ in range(5):
        area, mask = place_shape(stream, shape, 400, 400)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if area != mask.sum() or shape not in share:
            continue
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert area / box == pytest.approx(share[shape], rel=0.25)


def test_every_shape_turns_up_in_a_few_dozen_scenes() -> None:
    kinds = {item.category_id for index in range(40) for item in render_scene(0, index)[1]}
    assert kinds == set(range(1, len(SHAPES) + 1))


def test_splits_share_no_scene() -> None:
    last = 2**30 - 1
    ranges = sorted((scene_index(split, 0), scene_index(split, last)) for split in SPLIT_STARTS)
    assert len(ranges) == 3
    assert all(before[1] < after[0] for before, after in pairwise(ranges))


@pytest.mark.parametrize(("split", "position"), [("test", 0), ("train", -1), ("train", 2**30)])
def test_a_place_outside_the_splits_is_refused(split: str, position: int) -> None:
    with pytest.raises(ValueError, match="split"):
        scene_index(split, position)


def test_there_are_eighty_different_names_for_the_channels() -> None:
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == NUM_CLASSES
    assert set(OUTLINES) == set(SHAPES) == set(CLASS_NAMES[:8])
    assert CLASS_NAMES[8] == "unused-09"
    assert CLASS_NAMES[-1] == "unused-80"


def test_written_scenes_read_back_as_they_were_drawn(tmp_path: Path) -> None:
    path = write_scenes(tmp_path, split="calibration", count=3, seed=4)
    document = json.loads(path.read_text())
    assert [image["file_name"] for image in document["images"]] == [f"calibration-00000{n}.png" for n in (1, 2, 3)]
    assert [category["name"] for category in document["categories"]] == list(CLASS_NAMES)
    assert [category["id"] for category in document["categories"]] == list(range(1, 81))
    assert [item["id"] for item in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))
    for position, image in enumerate(document["images"]):
        drawn, objects = render_scene(4, scene_index("calibration", position))
        stored = cv2.imread(str(tmp_path / "images" / image["file_name"]))
        assert stored is not None
        assert np.array_equal(stored, drawn)
        assert (image["height"], image["width"]) == drawn.shape[:2]
        entries = [item for item in document["annotations"] if item["image_id"] == image["id"]]
        assert all(item["iscrowd"] == 0 for item in entries)
        read = [
            SceneObject(category_id=item["category_id"], bbox_xywh=tuple(item["bbox"]), area=item["area"])
            for item in entries
        ]
        assert read == objects


def test_written_scenes_twice_are_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_scenes(tmp_path / name, split="train", count=2, seed=0)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(files) == 3
    assert all((tmp_path / "first" / f).read_bytes() == (tmp_path / "second" / f).read_bytes() for f in files)


def test_the_projects_reader_accepts_the_annotations(tmp_path: Path) -> None:
    dataset = read_dataset(write_scenes(tmp_path, split="evaluation", count=2, seed=0))
    assert len(dataset.images) == 2
