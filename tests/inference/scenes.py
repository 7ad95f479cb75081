"""A data set of white boxes on black, and a network that finds them: for validation with the stand-in of sail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import cv2
import numpy as np

from artifacts.digest import digest_bytes, digest_file
from artifacts.release import PreprocessSpec, ReleaseRecord, Variant
from inference.annotations import dataset_digest
from tests.inference.releases import CLASS_NAMES, write_release
from tests.inference.sail_files import sail_bmodel

SIDE = 64
VARIANT = Variant(chip="BM1684X", precision="int8", batch=4)
CATEGORIES = ((11, "traffic light"), (40, "cat"))
"""Not in the order of the network's classes."""


def find_white_boxes(stored: np.ndarray) -> np.ndarray:
    """The head tensor of a perfect network for class 0 (cat): float [N, 7, 16, 16] of float32 [N, 3, 64, 64]."""
    heads = np.full((len(stored), len(CLASS_NAMES) + 4, SIDE // 4, SIDE // 4), -9.0)
    heads[:, -4:] = 0
    for index, image in enumerate(stored):
        rows, columns = np.nonzero(image[0] > 0)
        if not len(rows):
            continue
        top, bottom, left, right = rows.min() / 4, (rows.max() + 1) / 4, columns.min() / 4, (columns.max() + 1) / 4
        x, y = (left + right) / 2, (top + bottom) / 2
        heads[index, 0, int(y), int(x)] = 3
        heads[index, 1, 0, 0] = 2  # a dog, about which the annotations say nothing
        heads[index, -4:, int(y), int(x)] = right - left, bottom - top, x - int(x), y - int(y)
    return heads


def write_scenes(folder: Path, count: int = 6) -> Tuple[Path, Path]:
    """Write images of 128 x 128 with a box each, and their annotations: image folder and file."""
    images = folder / "images"
    images.mkdir(parents=True)
    document: Dict[str, List[Any]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES],
    }
    for number in range(1, count + 1):
        box = [8 * number, 4 * number, 40, 32]
        pixels = np.zeros((128, 128, 3), np.uint8)
        pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = 255
        assert cv2.imwrite(str(images / f"scene-{number}.png"), pixels)
        document["images"].append({"id": number * 10, "file_name": f"scene-{number}.png"})
        document["annotations"].append({"id": number, "image_id": number * 10, "category_id": 40, "bbox": box})
    annotations = folder / "annotations.json"
    annotations.write_text(json.dumps(document))
    return images, annotations


def write_scene_release(folder: Path, images: Path, annotations: Path, *, ap: float = 0.9) -> Path:
    """Write a release whose recorded accuracy is of these scenes."""
    spec = PreprocessSpec(width=SIDE, height=SIDE)
    data = sail_bmodel(batch=VARIANT.batch, side=SIDE)
    release = write_release(folder, {VARIANT: data}, spec=spec)
    record = json.loads((release / "release.json").read_bytes())
    files = sorted(images.iterdir())
    record["protocol"] = {
        "name": "coco",
        "dataset_digest": dataset_digest(
            digest_bytes(annotations.read_bytes()), [(path.name, digest_file(path)) for path in files]
        ),
        "images": len(files),
        "score_floor": 0.01,
        "top_k": 50,
        "metric": "COCO bbox AP@[.50:.95]",
    }
    record["variants"][0]["accuracy"] = {"ap": ap, "ap50": 0.95}
    (release / "release.json").write_bytes(ReleaseRecord.model_validate(record).to_json())
    return release
