"""Photographs become targets where the network will see them: under the letterbox, mirrored or not, crowds apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from inference.preprocess import preprocess
from tasks.coco import Box
from tasks.coco_classes import COCO_CATEGORIES
from tasks.errors import BadAnnotations
from tests.photographs.album import Album, mirror, open_album
from tests.tasks.annotation_files import write_annotations
from tests.tasks.image_files import save, scene

NAMES = tuple(name for _, name in COCO_CATEGORIES)
BOX = (12.0, 8.0, 40.0, 24.0)
SIDE = 64


def album(folder: Path, *, images: int = 4, categories: tuple[str, ...] = NAMES) -> Album:
    for number in range(images):
        save(folder / f"{number}.png", scene(number))
    boxes = {f"{number}.png": [BOX] for number in range(images)}
    return open_album(folder, write_annotations(folder / "boxes.json", boxes, categories=categories))


def position_of(found: Album, *, mirrored: bool) -> int:
    return next(position for position in range(100) if found.turn(0, position) == (0, mirrored))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_box_is_where_the_letterbox_puts_it(tmp_path: Path, mirrored: bool) -> None:
    found = album(tmp_path)
    pixels = scene(0)
    image, heatmap, geometry, mask = found.item(0, position_of(found, mirrored=mirrored), SIDE)
    expected = preprocess(pixels[:, ::-1].copy() if mirrored else pixels, PreprocessSpec(width=SIDE, height=SIDE))
    assert np.array_equal(image, expected)
    # 96 x 72 in 64 x 64: two thirds, and 8 black rows above.
    left = 96 - 12 - 40 if mirrored else 12
    x, y = (left + 20) * 64 / 96 / 4, ((8 + 12) * 64 / 96 + 8) / 4
    column, row = int(x), int(y)
    assert heatmap.shape == (80, 16, 16)
    assert np.argwhere(heatmap == 1).tolist() == [[0, row, column]]
    assert mask[row, column] == 1
    assert geometry[:, row, column] == pytest.approx([40 / 6, 24 / 6, x - column, y - row], abs=1e-4)


def test_crowds_and_boxes_without_area_are_no_targets(tmp_path: Path) -> None:
    found = album(tmp_path, images=1)
    (image,) = found.dataset.images
    crowd = Box(xywh=BOX, category_id=1, iscrowd=True, area=900.0)
    line = Box(xywh=(30.0, 5.0, 0.0, 9.0), category_id=2, iscrowd=False, area=0.0)
    found.dataset.boxes[image.id] = (crowd, line)
    _, heatmap, _, mask = found.item(0, 0, SIDE)
    assert not heatmap.any() and not mask.any()


def test_every_round_shows_each_photograph_once_in_another_order_and_half_of_them_mirrored(tmp_path: Path) -> None:
    found = album(tmp_path)
    rounds = [[found.turn(0, 4 * number + i) for i in range(4)] for number in range(30)]
    assert all(sorted(index for index, _ in turns) == [0, 1, 2, 3] for turns in rounds)
    assert all(sum(mirrored for _, mirrored in turns) == 2 for turns in rounds)
    assert len({tuple(index for index, _ in turns) for turns in rounds}) > 5
    assert set(rounds[0] + rounds[1] + rounds[2] + rounds[3] + rounds[4]) > {(0, True), (0, False)}
    assert rounds[0] == [found.turn(0, position) for position in range(4)]
    assert rounds != [[found.turn(1, 4 * number + i) for i in range(4)] for number in range(30)]


@given(st.integers(1, 40), st.lists(st.tuples(*[st.floats(0, 20)] * 4), max_size=5))
def test_mirrored_twice_is_as_it_was(width: int, boxes: list[tuple[float, float, float, float]]) -> None:
    image: NDArray[np.uint8] = np.arange(3 * 2 * width, dtype=np.uint8).reshape(2, width, 3)
    xywh = np.array(boxes, np.float64).reshape(-1, 4)
    once = mirror(image, xywh)
    assert np.array_equal(once[0][:, 0], image[:, -1])
    twice = mirror(*once)
    assert np.array_equal(twice[0], image)
    assert np.allclose(twice[1], xywh, atol=1e-12)


def test_measured_is_what_a_network_finds_on_these_very_photographs(tmp_path: Path) -> None:
    found = album(tmp_path)
    _, heatmap, geometry, _ = found.item(0, position_of(found, mirrored=False), SIDE)
    heads = np.concatenate([np.where(heatmap == 1, 4, -9), geometry]).astype(np.float32)[None]
    measured = found.measure(lambda batch: heads, SIDE)
    assert measured.ap == pytest.approx(1)
    assert measured.images == 4
    assert found.measure(lambda batch: np.roll(heads, 6, axis=3), SIDE).ap == 0


def test_annotations_of_other_classes_than_the_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotations, match="2 categories, but the network has the 80 classes"):
        album(tmp_path, categories=("circle", "square"))


def test_a_photograph_that_is_missing_is_named(tmp_path: Path) -> None:
    album(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.raises(BadAnnotations, match=r"no file 2\.png"):
        open_album(tmp_path, tmp_path / "boxes.json")


def test_annotations_without_an_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotations, match="it names no image"):
        album(tmp_path, images=0)


def test_the_photographs_beside_the_checkout_are_what_the_network_is_fitted_to(coco_mini: Path) -> None:
    found = open_album(coco_mini / "train2017", coco_mini / "annotations" / "instances_train2017.json")
    document = json.loads((coco_mini / "annotations" / "instances_train2017.json").read_bytes())
    assert len(found.dataset.images) == len(document["images"]) == 128
    assert found.dataset.category_ids == tuple(identity for identity, _ in COCO_CATEGORIES)
    for position in range(8):
        image, heatmap, geometry, mask = found.item(0, position, 256)
        assert (image.shape, geometry.shape, mask.shape) == ((3, 256, 256), (4, 64, 64), (64, 64))
        entry = found.dataset.images[found.turn(0, position)[0]]
        objects = [box for box in found.dataset.boxes[entry.id] if not box.iscrowd]
        assert 0 < np.count_nonzero(heatmap == 1) <= len(objects)
        assert {found.dataset.category_ids[index] for index in np.argwhere(heatmap == 1)[:, 0]} == {
            box.category_id for box in objects
        }
