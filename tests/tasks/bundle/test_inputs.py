from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from settings.load import load_settings
from settings.model import Settings
from tasks.bundle.inputs import PARENT, PROFILE, Inputs, inputs_of
from tasks.errors import BundleNotMade, SourceUnavailable
from tasks.gather import collect_folders, download_coco, first_images
from tasks.source_files import obtain
from tasks.workspace import Workspace

OWN = """
extends = "coco"
[weights]
mirrors = ["weights.pth"]
size = "none"
digest = "none"
record_first_use = true
[calibration.source]
kind = "folder"
folders = ["photographs"]
[evaluation]
limit = 2
[evaluation.source]
kind = "coco"
split = "val2017"
image_mirrors = ["photographs"]
candidates = 3
[evaluation.source.instances]
mirrors = ["instances.json"]
record_first_use = true
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A machine that has weights, photographs and annotations as files."""
    folder = tmp_path / "site"
    (folder / "photographs").mkdir(parents=True)
    images = [{"id": one, "file_name": f"{one:03}.png", "width": 80, "height": 70} for one in range(1, 6)]
    for image in images:
        pixels = np.full((70, 80, 3), image["id"], dtype=np.uint8)
        cv2.imwrite(str(folder / "photographs" / str(image["file_name"])), pixels)
    boxes = [
        {"id": one, "image_id": one, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 900.5, "iscrowd": 0}
        for one in range(1, 6)
    ]
    categories = [{"id": one, "name": f"class {one}"} for one in range(1, 81)]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    (folder / "weights.pth").write_bytes(b"weights")
    (folder / "own.toml").write_text(OWN)
    return folder


def workspace_in(folder: Path) -> Workspace:
    return Workspace(store=str(folder / "store"), cache=str(folder / "cache"))


def carried(inputs: Inputs, folder: Path) -> Settings:
    """The settings on the other machine."""
    for name, path in inputs.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    (folder / PROFILE).write_text(inputs.profile)
    if inputs.parent is not None:
        (folder / PARENT).write_text(inputs.parent)
    return load_settings(folder / PROFILE, environ={})


def test_the_sample_needs_nothing_and_says_so(tmp_path: Path) -> None:
    inputs = inputs_of(load_settings("sample", environ={}), "sample", workspace_in(tmp_path))
    assert inputs.files == {}
    assert carried(inputs, tmp_path).weights == load_settings("sample", environ={}).weights


def test_the_other_machine_gets_the_very_weights_and_images_and_asks_no_address(site: Path, tmp_path: Path) -> None:
    here, other = workspace_in(tmp_path / "here"), tmp_path / "other"
    settings = load_settings(site / "own.toml", environ={})
    inputs = inputs_of(settings, str(site / "own.toml"), here)
    wanted = settings.evaluation.source, settings.calibration.source
    assert wanted[0].kind == "coco" and wanted[1].kind == "folder"
    evaluation = download_coco.fn(wanted[0], settings.evaluation.limit, "evaluation", 0, here)
    calibration = collect_folders.fn(wanted[1], "calibration", here)
    shutil.rmtree(site)

    there, workspace = carried(inputs, other), workspace_in(other)
    assert obtain(there.weights, workspace).read_bytes() == b"weights"
    assert there.weights.digest is not None and not there.weights.record_first_use
    found = there.evaluation.source, there.calibration.source
    assert found[0].kind == found[1].kind == "folder"
    images = first_images(collect_folders.fn(found[0], "evaluation", workspace), 2, workspace.content)
    assert images == evaluation and len(images.images) == 2
    assert collect_folders.fn(found[1], "calibration", workspace) == calibration
    assert there.matrix == settings.matrix
    assert "http" not in inputs.profile


def test_a_profile_that_extends_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('extends = "sample"\n')
    (tmp_path / "own.toml").write_text('extends = "base.toml"\n')
    settings = load_settings(tmp_path / "own.toml", environ={})
    with pytest.raises(BundleNotMade, match=r"base\.toml"):
        inputs_of(settings, str(tmp_path / "own.toml"), workspace_in(tmp_path))


def test_weights_that_are_not_to_be_had_are_told(site: Path, tmp_path: Path) -> None:
    (site / "weights.pth").unlink()
    with pytest.raises(SourceUnavailable):
        inputs_of(load_settings(site / "own.toml", environ={}), str(site / "own.toml"), workspace_in(tmp_path))
