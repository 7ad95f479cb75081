"""Images and weights into the store, whatever kind their source is."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from settings.sources import CocoSource, FileSource, FolderSource, GeneratedSource, LabelledFolderSource
from tasks.coco import Dataset, parse_dataset
from tasks.errors import BadAnnotations, DigestMismatch, ImagesMissing, SourceMissing
from tasks.gather import collect_folders, dataset_json, download_coco, download_weights, draw_scenes, first_images
from tasks.records import ImageSet
from tasks.workspace import Workspace
from tests.tasks.annotation_files import write_annotations
from tests.tasks.image_files import save, scene

BOX = (1.0, 2.0, 3.0, 4.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        save(folder / f"{name}.png", scene(number))
    return folder


def names(images: ImageSet) -> list[str]:
    return [image.name for image in images.images]


def described(images: ImageSet, workspace: Workspace) -> Dataset:
    assert images.annotations is not None
    return parse_dataset(workspace.content.verified(images.annotations).read_bytes())


def test_folders_without_annotations_give_their_images_and_nothing_else(
    photographs: Path, workspace: Workspace
) -> None:
    found = collect_folders.fn(FolderSource(kind="folder", folders=(photographs,)), "calibration", workspace)
    assert names(found) == ["a.png", "b.png", "c.png"] and found.annotations is None
    assert workspace.content.verified(found.images[0].blob).read_bytes() == (photographs / "a.png").read_bytes()


def test_calibration_keeps_images_that_nobody_annotated(
    photographs: Path, tmp_path: Path, workspace: Workspace
) -> None:
    annotations = write_annotations(tmp_path / "some.json", {"b.png": [BOX]})
    source = FolderSource(kind="folder", folders=(photographs,), annotations=(annotations,))
    found = collect_folders.fn(source, "calibration", workspace)
    assert names(found) == ["a.png", "b.png", "c.png"]
    assert [image.file_name for image in described(found, workspace).images] == ["b.png"]


def test_evaluation_takes_exactly_the_annotated_images(photographs: Path, tmp_path: Path, workspace: Workspace) -> None:
    annotations = write_annotations(tmp_path / "some.json", {"c.png": [BOX], "a.png": []})
    source = LabelledFolderSource(kind="folder", folders=(photographs,), annotations=(annotations,))
    found = collect_folders.fn(source, "evaluation", workspace)
    assert names(found) == ["a.png", "c.png"]
    assert [image.file_name for image in described(found, workspace).images] == ["c.png", "a.png"]


def test_annotations_of_no_image_are_no_evaluation(photographs: Path, tmp_path: Path, workspace: Workspace) -> None:
    annotations = write_annotations(tmp_path / "none.json", {})
    source = LabelledFolderSource(kind="folder", folders=(photographs,), annotations=(annotations,))
    with pytest.raises(ImagesMissing, match=r"none\.json describe no image"):
        collect_folders.fn(source, "evaluation", workspace)


@pytest.mark.parametrize("purpose", ["calibration", "evaluation"])
def test_annotations_of_images_that_are_not_there_are_refused(
    purpose: str, photographs: Path, tmp_path: Path, workspace: Workspace
) -> None:
    annotations = write_annotations(tmp_path / "more.json", {"a.png": [BOX], "gone.png": [BOX]})
    source = LabelledFolderSource(kind="folder", folders=(photographs,), annotations=(annotations,))
    with pytest.raises(BadAnnotations, match=r"gone\.png is in none of the folders"):
        collect_folders.fn(source, purpose, workspace)


def test_a_changed_folder_is_noticed_and_an_equal_one_elsewhere_is_the_same(
    photographs: Path, tmp_path: Path, workspace: Workspace
) -> None:
    before = collect_folders.fn(FolderSource(kind="folder", folders=(photographs,)), "calibration", workspace)
    shutil.copytree(photographs, tmp_path / "copy")
    copied = FolderSource(kind="folder", folders=(tmp_path / "copy",))
    assert collect_folders.fn(copied, "calibration", workspace) == before
    save(tmp_path / "copy" / "a.png", scene(9))
    assert collect_folders.fn(copied, "calibration", workspace) != before


def test_real_photographs_with_and_without_annotations(coco_mini: Path, workspace: Workspace) -> None:
    annotations = coco_mini / "annotations"
    source = FolderSource(
        kind="folder",
        folders=(coco_mini / "train2017", coco_mini / "val2017_unlabelled"),
        annotations=(annotations / "instances_train2017.json",),
    )
    found = collect_folders.fn(source, "calibration", workspace)
    assert len(found.images) == 221 and len(described(found, workspace).images) == 128
    labelled = LabelledFolderSource(
        kind="folder",
        folders=(coco_mini / "val2017",),
        annotations=(annotations / "instances_val2017.json",),
    )
    evaluation = collect_folders.fn(labelled, "evaluation", workspace)
    dataset = described(evaluation, workspace)
    assert len(evaluation.images) == 100 and len(dataset.categories) == 80
    assert sum(len(boxes) for boxes in dataset.boxes.values()) == 709


def test_a_limit_takes_the_first_images_by_id_and_their_boxes(
    photographs: Path, tmp_path: Path, workspace: Workspace
) -> None:
    annotations = write_annotations(tmp_path / "all.json", {"c.png": [BOX], "b.png": [BOX], "a.png": []})
    source = LabelledFolderSource(kind="folder", folders=(photographs,), annotations=(annotations,))
    images = collect_folders.fn(source, "evaluation", workspace)
    first = first_images(images, 2, workspace.content)
    assert names(first) == ["b.png", "c.png"] and len(described(first, workspace).images) == 2
    assert first_images(images, 99, workspace.content) == images


def test_a_limit_without_annotations_takes_the_first_by_name(photographs: Path, workspace: Workspace) -> None:
    images = collect_folders.fn(FolderSource(kind="folder", folders=(photographs,)), "calibration", workspace)
    assert names(first_images(images, 2, workspace.content)) == ["a.png", "b.png"]


def test_scenes_of_the_two_splits_share_neither_bytes_nor_names(workspace: Workspace) -> None:
    source = GeneratedSource(kind="generated", count=4, seed=3)
    sets = [draw_scenes.fn(split, source.count, source.seed, workspace) for split in ("calibration", "evaluation")]
    seen = [{(image.name, image.blob.digest) for image in found.images} for found in sets]
    assert all(len(one) == 4 for one in seen)
    assert not {name for name, _ in seen[0]} & {name for name, _ in seen[1]}
    assert not {digest for _, digest in seen[0]} & {digest for _, digest in seen[1]}
    assert draw_scenes.fn("evaluation", 4, 3, workspace) == sets[1]
    assert list(Path(workspace.store, "scratch").glob("scenes*")) == []


def test_a_data_set_survives_being_written_and_read(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "a.json", {"a.png": [BOX, (0.5, 0.25, 8.0, 9.0)], "b.png": []})
    dataset = parse_dataset(path.read_bytes())
    again = parse_dataset(dataset_json(dataset))
    assert again == dataset and dataset_json(again) == dataset_json(dataset)


def coco_source(folder: Path, tmp_path: Path, **fields: object) -> CocoSource:
    instances = write_annotations(tmp_path / "instances.json", {f"{name}.png": [BOX] for name in "abc"})
    digest = "sha256:" + hashlib.sha256(instances.read_bytes()).hexdigest()
    return CocoSource.model_validate(
        {
            "kind": "coco",
            "split": "val2017",
            "image_mirrors": (str(folder),),
            "instances": {"mirrors": (str(instances),), "digest": digest},
            **fields,
        }
    )


def test_a_split_is_fetched_image_by_image(photographs: Path, tmp_path: Path, workspace: Workspace) -> None:
    found = download_coco.fn(coco_source(photographs, tmp_path), None, "evaluation", 0, workspace)
    assert names(found) == ["a.png", "b.png", "c.png"] and len(described(found, workspace).images) == 3
    limited = download_coco.fn(coco_source(photographs, tmp_path), 2, "evaluation", 0, workspace)
    assert names(limited) == ["a.png", "b.png"] and len(described(limited, workspace).images) == 2


def test_fewer_candidates_are_the_same_for_a_seed_and_others_for_another(
    photographs: Path, tmp_path: Path, workspace: Workspace
) -> None:
    source = coco_source(photographs, tmp_path, candidates=2)
    chosen = [tuple(names(download_coco.fn(source, None, "calibration", seed, workspace))) for seed in range(6)]
    assert chosen == [tuple(names(download_coco.fn(source, None, "calibration", seed, workspace))) for seed in range(6)]
    assert all(len(one) == 2 for one in chosen) and len(set(chosen)) > 1


def weights(path: Path, **fields: object) -> FileSource:
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return FileSource.model_validate({"mirrors": (str(path),), "digest": digest, **fields})


def test_weights_go_by_their_bytes_not_by_where_they_came_from(tmp_path: Path, workspace: Workspace) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.pth").write_bytes(b"weights")
    one = download_weights.fn(weights(tmp_path / "one/one.pth"), workspace)
    two = download_weights.fn(weights(tmp_path / "two/two.pth"), workspace)
    assert one == two and workspace.content.verified(one.blob).read_bytes() == b"weights"


def test_two_sources_with_files_of_one_name_do_not_get_in_each_others_way(tmp_path: Path, workspace: Workspace) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.pth").write_bytes(name.encode())
    sources = [
        FileSource(mirrors=(str(tmp_path / name / "weights.pth"),), record_first_use=True) for name in ("one", "two")
    ]
    for _ in range(2):
        digests = [download_weights.fn(source, workspace).blob.digest for source in sources]
        assert digests == ["sha256:" + hashlib.sha256(name).hexdigest() for name in (b"one", b"two")]


def test_weights_recorded_at_first_use_are_enforced_from_then_on(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"one")
    source = FileSource(mirrors=(str(path),), record_first_use=True)
    first = download_weights.fn(source, workspace)
    path.write_bytes(b"two")
    assert download_weights.fn(source, workspace) == first  # what is in the cache is what was recorded
    for cached in (Path(workspace.cache) / "downloads").glob("*-weights.pth"):
        cached.unlink()
    with pytest.raises(DigestMismatch):
        download_weights.fn(source, workspace)


def test_a_file_of_the_project_is_used_in_its_place(workspace: Workspace) -> None:
    shipped = Path(__file__).parents[2] / "pyproject.toml"
    found = download_weights.fn(FileSource(mirrors=(str(shipped),)), workspace)
    assert workspace.content.verified(found.blob).read_bytes() == shipped.read_bytes()
    assert not Path(workspace.cache).exists()


def test_a_file_of_the_project_that_is_not_there_is_named(workspace: Workspace) -> None:
    gone = Path(__file__).parents[2] / "tasks" / "nowhere.pth"
    with pytest.raises(SourceMissing, match=r"nowhere\.pth: it is the project's own and is not there; restore it"):
        download_weights.fn(FileSource(mirrors=(str(gone),)), workspace)
