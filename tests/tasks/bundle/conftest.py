"""What tests of bundles share."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

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
