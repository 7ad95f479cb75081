"""Images in local folders, and what annotation files say about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.errors import BadAnnotations, BadImage, ImagesAmbiguous, ImagesMissing
from tasks.folders import described_in, images_in
from tests.tasks.annotation_files import write_annotations

BOX = (1.0, 2.0, 3.0, 4.0)


def fill(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.jpg").write_text(content)
    return folder


def test_images_of_several_folders_are_listed_by_name(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "one", b="1"), fill(tmp_path / "two", a="2")
    (one / "notes.txt").write_text("no image")
    (one / "folder.jpg").mkdir()
    (two / "UPPER.JPEG").write_text("3")
    assert images_in([one, two]) == {"UPPER.JPEG": two / "UPPER.JPEG", "a.jpg": two / "a.jpg", "b.jpg": one / "b.jpg"}


def test_a_file_that_lies_in_two_folders_counts_once(tmp_path: Path) -> None:
    folders = [fill(tmp_path / "one", a="same"), fill(tmp_path / "two", a="same")]
    assert images_in(folders) == {"a.jpg": folders[0] / "a.jpg"}


def test_different_files_of_one_name_are_refused_and_named(tmp_path: Path) -> None:
    folders = [fill(tmp_path / "one", a="1", b="same"), fill(tmp_path / "two", a="2", b="same")]
    with pytest.raises(
        ImagesAmbiguous, match=r"Different images of the same name lie in .*: a\.jpg\. Rename"
    ) as caught:
        images_in(folders)
    assert caught.value.names == ("a.jpg",)
    with pytest.raises(ImagesAmbiguous):
        described_in(folders, [write_annotations(tmp_path / "a.json", {"a.jpg": [BOX]})])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImagesMissing, match=r"The image folder .*/nowhere does not exist"):
        images_in([fill(tmp_path / "one", a="1"), tmp_path / "nowhere"])


def test_folders_without_images_are_named_with_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(ImagesMissing, match=r"No images were found directly in .*empty.*\.jpg"):
        images_in([fill(tmp_path / "empty")])


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1")
    (folder / os.fsdecode(b"\xff.jpg")).write_text("2")
    with pytest.raises(BadImage, match="not UTF-8"):
        images_in([folder])


def test_annotated_images_are_found_in_whichever_folder_they_lie(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "one", a="1"), fill(tmp_path / "two" / "inner", b="2")
    annotations = write_annotations(tmp_path / "a.json", {"a.jpg": [BOX], "inner/b.jpg": []}, first_id=5)
    dataset, paths = described_in([one, tmp_path / "two"], [annotations])
    assert paths == {"a.jpg": one / "a.jpg", "inner/b.jpg": two / "b.jpg"}
    assert [image.id for image in dataset.images] == [5, 6]
    assert dataset.boxes[5][0].xywh == BOX and dataset.boxes[6] == ()


def test_images_that_are_missing_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", here="1")
    names = ["here.jpg", *(f"gone{number:02}.jpg" for number in range(13))]
    annotations = write_annotations(tmp_path / "a.json", {name: [BOX] for name in names})
    with pytest.raises(BadAnnotations, match=r"image 2: gone00\.jpg is in none of the folders") as caught:
        described_in([folder], [annotations])
    assert caught.value.total == 13 and len(caught.value.problems) == 10 and caught.value.name == str(annotations)


def test_the_file_that_names_missing_images_is_the_one_blamed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1")
    good = write_annotations(tmp_path / "good.json", {"a.jpg": [BOX]})
    bad = write_annotations(tmp_path / "bad.json", {"b.jpg": [BOX]}, first_id=2)
    with pytest.raises(BadAnnotations) as caught:
        described_in([folder], [good, bad])
    assert caught.value.name == str(bad)


def test_files_of_other_categories_are_not_joined(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1", b="2")
    first = write_annotations(tmp_path / "1.json", {"a.jpg": [BOX]})
    second = write_annotations(tmp_path / "2.json", {"b.jpg": [BOX]}, first_id=2, categories=("circle", "star"))
    with pytest.raises(BadAnnotations, match=r"2\.json has 1 problem:\n  its categories are not those of .*1\.json"):
        described_in([folder], [first, second])


def test_one_image_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1", b="2")
    first = write_annotations(tmp_path / "1.json", {"a.jpg": [BOX], "b.jpg": []})
    second = write_annotations(tmp_path / "2.json", {"b.jpg": [BOX]}, first_id=7)
    with pytest.raises(ImagesAmbiguous, match=r"describe the same images: b\.jpg\. Name each"):
        described_in([folder], [first, second])


def test_two_files_that_use_the_same_ids_keep_their_boxes_apart(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1", b="2")
    first = write_annotations(tmp_path / "1.json", {"b.jpg": [BOX]}, first_id=1)
    second = write_annotations(tmp_path / "2.json", {"a.jpg": [(5.0, 5.0, 5.0, 5.0)]}, first_id=1)
    dataset, _ = described_in([folder], [first, second])
    boxes = {image.file_name: dataset.boxes[image.id][0].xywh for image in dataset.images}
    assert boxes == {"b.jpg": BOX, "a.jpg": (5.0, 5.0, 5.0, 5.0)}
    assert [image.id for image in dataset.images] == [1, 2]


def test_two_files_with_ids_of_their_own_keep_these(tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", a="1", b="2")
    first = write_annotations(tmp_path / "1.json", {"b.jpg": [BOX]}, first_id=9)
    second = write_annotations(tmp_path / "2.json", {"a.jpg": [BOX]}, first_id=3)
    dataset, _ = described_in([folder], [first, second])
    assert [(image.id, image.file_name) for image in dataset.images] == [(3, "a.jpg"), (9, "b.jpg")]
