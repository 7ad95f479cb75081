from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.coco import parse_dataset, read_dataset
from tasks.curate import CuratedSet, candidates_in, classes_by_name, coco_id, curate
from tasks.errors import NotEnoughImages
from tasks.image_facts import Candidate
from tests.tasks.image_files import cmyk_jpeg, save, scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "candidates"
    folder.mkdir()
    for number in range(12):
        save(folder / f"scene{number:02}.png", scene(number))
    return folder


def reasons(curated: CuratedSet) -> dict[str, str]:
    return {item.name: item.reason for item in curated.rejections}


def test_every_kind_of_useless_image_is_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    save(folder / "gray.png", scene(20)[..., 0])
    save(folder / "small.png", scene(21, width=80, height=63))
    save(folder / "deep.png", scene(22).astype(np.uint16) * 257)
    (folder / "print.jpg").write_bytes(cmyk_jpeg())
    (folder / "broken.jpg").write_text("no image")
    shutil.copy(folder / "scene03.png", folder / "scene03 again.png")
    save(folder / "scene04.jpg", scene(4))
    (folder / "notes.txt").write_text("no candidate")
    held_out = tmp_path / "evaluation"
    held_out.mkdir()
    shutil.copy(folder / "scene05.png", held_out / "other name.png")
    save(held_out / "recompressed.jpg", scene(6))
    curated = curate(candidates_in([folder]), count=10, evaluation=candidates_in([held_out]))
    assert reasons(curated) == {
        "gray.png": "grayscale",
        "small.png": "tiny",
        "deep.png": "16-bit",
        "print.jpg": "CMYK",
        "broken.jpg": "unreadable",
        "scene03.png": "duplicate",
        "scene04.png": "near-duplicate",
        "scene05.png": "evaluation set",
        "scene06.png": "evaluation set",
    }
    assert curated.rejected["evaluation set"] == 2
    assert curated.candidates == 19
    assert len({image.digest for image in curated.images}) == 10


def test_an_excluded_digest_is_never_chosen(folder: Path) -> None:
    everything = curate(candidates_in([folder]), count=12)
    excluded = everything.images[0]
    rest = curate(candidates_in([folder]), count=11, exclude_digests={excluded.digest})
    assert excluded.digest not in {image.digest for image in rest.images}
    assert reasons(rest) == {excluded.name: "evaluation set"}


def test_a_coco_image_of_the_evaluation_set_is_known_by_its_id(folder: Path, tmp_path: Path) -> None:
    candidate = Candidate("COCO_train2014_000000000139.jpg", save(tmp_path / "a.png", scene(40)))
    held_out = Candidate("000000000139.jpg", save(tmp_path / "b.png", scene(41)))
    curated = curate([*candidates_in([folder]), candidate], count=5, evaluation=[held_out])
    assert reasons(curated) == {candidate.name: "evaluation set"}


def test_generated_images_may_share_a_name_with_the_evaluation_set(folder: Path, tmp_path: Path) -> None:
    held_out = Candidate("scene00.png", save(tmp_path / "b.png", scene(41)))
    assert curate(candidates_in([folder]), count=12, evaluation=[held_out]).rejections == ()


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("000000000139.jpg", 139),
        ("COCO_val2014_000000000139.jpg", 139),
        ("val2017/000000000139.jpg", 139),
        ("scene_000000000139.jpg", None),
        ("139.jpg", None),
    ],
)
def test_coco_names_hold_an_id(name: str, image_id: int | None) -> None:
    assert coco_id(name) == image_id


def test_order_folder_and_file_system_do_not_matter(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "scene03.png", folder / "zz.png")
    save(folder / "scene04.jpg", scene(4))
    (folder / "broken.jpg").write_text("no image")
    expected = curate(candidates_in([folder]), count=7, seed=5).manifest()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    shuffled = candidates_in([elsewhere])
    random.Random(1).shuffle(shuffled)
    assert curate(shuffled, count=7, seed=5).manifest() == expected
    assert curate(shuffled, count=7, seed=6).manifest() != expected


def test_the_larger_of_two_copies_stays(folder: Path) -> None:
    save(folder / "a small copy.png", scene(4, width=80, height=64))
    assert reasons(curate(candidates_in([folder]), count=12)) == {"a small copy.png": "near-duplicate"}


def test_too_few_usable_images_is_an_error_that_counts(folder: Path) -> None:
    save(folder / "gray.png", scene(20)[..., 0])
    save(folder / "gray too.png", scene(21)[..., 0])
    (folder / "broken.jpg").write_text("no image")
    message = r"200 .* only 12 of 15 .* 2 grayscale, 1 unreadable.*at least 188"
    with pytest.raises(NotEnoughImages, match=message) as caught:
        curate(candidates_in([folder]))
    assert (caught.value.asked, caught.value.usable, caught.value.candidates) == (200, 12, 15)
    assert caught.value.rejected == {"grayscale": 2, "unreadable": 1}


def test_no_candidates_at_all_is_the_same_error() -> None:
    with pytest.raises(NotEnoughImages, match="only 0 of 0"):
        curate([])


def test_classes_come_from_the_boxes_of_all_annotation_files() -> None:
    def dataset(file_name: str, *category_ids: int) -> bytes:
        boxes = [{"id": i, "image_id": 1, "category_id": c, "bbox": [0, 0, 1, 1]} for i, c in enumerate(category_ids)]
        images = [{"id": 1, "file_name": file_name, "width": 9, "height": 9}]
        categories = [{"id": 5, "name": "cat"}, {"id": 8, "name": "dog"}]
        return json.dumps({"images": images, "annotations": boxes, "categories": categories}).encode()

    datasets = [parse_dataset(dataset(*args)) for args in (("sub/a.jpg", 5, 5), ("b.jpg", 8), ("b.jpg", 5))]
    assert classes_by_name(datasets) == {"sub/a.jpg": {"cat"}, "b.jpg": {"cat", "dog"}}


def test_200_photographs_are_curated_from_the_real_candidates(coco_mini: Path) -> None:
    labels = read_dataset(coco_mini / "annotations" / "instances_train2017.json")
    curated = curate(
        candidates_in([coco_mini / "train2017", coco_mini / "val2017_unlabelled"]),
        evaluation=candidates_in([coco_mini / "val2017"]),
        boxes=[labels],
    )
    assert len(curated.images) == 200
    assert (curated.candidates, curated.rejected) == (221, {"grayscale": 7})
    assert len(curated.class_counts) == 71
    assert min(curated.class_counts.values()) >= 1
    held_out = {path.name for path in (coco_mini / "val2017").iterdir()}
    assert not held_out & {image.name for image in curated.images}
    manifest = curated.manifest()
    assert CuratedSet.model_validate_json(manifest) == curated
    assert json.loads(manifest)["images"][0].keys() == {"name", "digest", "size", "reason"}
