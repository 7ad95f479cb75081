"""The curated set as a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings.sections import Curation
from settings.sources import FolderSource, LabelledFolderSource
from tasks.calibration_set import curate_images, read_manifest
from tasks.errors import NotEnoughImages
from tasks.gather import collect_folders
from tasks.records import ImageSet
from tasks.workspace import Workspace
from tests.tasks.annotation_files import write_annotations
from tests.tasks.image_files import save, scene

BOX = (1.0, 2.0, 30.0, 40.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


@pytest.fixture
def candidates(tmp_path: Path, workspace: Workspace) -> ImageSet:
    """Ten scenes, a gray one, one that is no image; two of the scenes are annotated."""
    folder = tmp_path / "candidates"
    folder.mkdir()
    for number in range(10):
        save(folder / f"scene{number}.png", scene(number))
    save(folder / "gray.png", scene(20)[..., 0])
    (folder / "broken.jpg").write_text("no image")
    annotations = write_annotations(tmp_path / "some.json", {"scene2.png": [BOX], "scene7.png": [BOX]})
    source = FolderSource(kind="folder", folders=(folder,), annotations=(annotations,))
    return collect_folders.fn(source, "calibration", workspace)


@pytest.fixture
def evaluation(tmp_path: Path, workspace: Workspace) -> ImageSet:
    """One image, which is among the candidates under another name."""
    folder = tmp_path / "evaluation"
    folder.mkdir()
    save(folder / "other name.png", scene(4))
    annotations = write_annotations(tmp_path / "evaluation.json", {"other name.png": [BOX]})
    source = LabelledFolderSource(kind="folder", folders=(folder,), annotations=(annotations,))
    return collect_folders.fn(source, "evaluation", workspace)


def test_what_is_chosen_is_named_by_digest_with_its_reason(
    candidates: ImageSet, evaluation: ImageSet, workspace: Workspace
) -> None:
    chosen = curate_images.fn(candidates, evaluation, Curation(count=6), workspace)
    manifest = read_manifest(chosen, workspace.content)
    assert [(image.name, image.blob.digest) for image in chosen.images] == [
        (image.name, image.digest) for image in manifest.images
    ]
    assert len(chosen.images) == 6 and all(image.reason for image in manifest.images)
    assert manifest.rejected == {"evaluation set": 1, "grayscale": 1, "unreadable": 1}
    assert {"scene2.png", "scene7.png"} & {image.name for image in chosen.images}  # the only ones that show a class
    assert workspace.content.verified(chosen.contact_sheet).read_bytes()[:2] == b"\xff\xd8"  # a JPEG


def test_the_same_candidates_give_the_same_set_and_another_seed_another_order(
    candidates: ImageSet, evaluation: ImageSet, workspace: Workspace
) -> None:
    sets = [curate_images.fn(candidates, evaluation, Curation(count=6, seed=seed), workspace) for seed in (0, 0, 1)]
    assert sets[0] == sets[1] != sets[2]


def test_an_evaluation_image_is_never_chosen(candidates: ImageSet, evaluation: ImageSet, workspace: Workspace) -> None:
    chosen = curate_images.fn(candidates, evaluation, Curation(count=9), workspace)
    assert "scene4.png" not in {image.name for image in chosen.images}


def test_too_few_candidates_are_counted_by_reason(
    candidates: ImageSet, evaluation: ImageSet, workspace: Workspace
) -> None:
    with pytest.raises(NotEnoughImages, match="only 9 of 12 candidates can be used"):
        curate_images.fn(candidates, evaluation, Curation(count=10), workspace)


def test_candidates_without_any_annotations_will_do(
    candidates: ImageSet, evaluation: ImageSet, workspace: Workspace
) -> None:
    bare = candidates.model_copy(update={"annotations": None})
    assert len(curate_images.fn(bare, evaluation, Curation(count=6), workspace).images) == 6
