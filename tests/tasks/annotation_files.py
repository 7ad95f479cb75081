"""Annotation files in COCO's layout, made for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

CATEGORIES = ("circle", "square")


def write_annotations(
    path: Path,
    boxes: Mapping[str, Sequence[tuple[float, float, float, float]]],
    *,
    categories: Sequence[str] = CATEGORIES,
    first_id: int = 1,
    size: tuple[int, int] = (96, 72),
) -> Path:
    """Write a file that describes some images.

    Args:
        path: The file.
        boxes: Image name to its boxes (left, top, width, height), all of the first category.
        categories: Names of the categories, ids from 1.
        first_id: Id of the first image.
        size: Width and height of every image.

    Returns:
        The path.
    """
    ids = {name: first_id + number for number, name in enumerate(boxes)}
    found = [(ids[name], box) for name, of_image in boxes.items() for box in of_image]
    document = {
        "images": [{"id": ids[name], "file_name": name, "width": size[0], "height": size[1]} for name in boxes],
        "annotations": [
            {"id": number, "image_id": image, "category_id": 1, "bbox": list(box)}
            for number, (image, box) in enumerate(found, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, 1)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path
