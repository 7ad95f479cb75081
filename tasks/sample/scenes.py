"""Generated scenes: textured shapes with exact boxes, in COCO layout.

They stand in for photographs where nothing may be downloaded. A scene is a function of its seed and index alone, so
that the same bytes come out in any order.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.sample.drawing import Image, Mask, background, camera, fill, place_shape

SHAPES = ("disc", "square", "triangle", "ring", "cross", "star", "hexagon", "diamond")

# The head contract has 80 heatmap channels; the channels that no shape uses get a name all the same.
CLASS_NAMES: tuple[str, ...] = SHAPES + tuple(f"unused-{n:02d}" for n in range(len(SHAPES) + 1, 81))

# Splits take disjoint index ranges of one seed, so that no scene is in two of them.
SPLIT_LENGTH = 1 << 30
SPLIT_STARTS = {name: part * SPLIT_LENGTH for part, name in enumerate(("train", "calibration", "evaluation"))}

SIDE_RANGE = (200, 384)
MAX_OBJECTS = 6

# Less than this of a shape, and nobody could say what it is or where it ends: a shape that would hide another below
# it, or itself lies too far outside, is not drawn.
MIN_VISIBLE = 0.5


class SceneObject(BaseModel):
    """One drawn shape.

    Attributes:
        category_id: COCO category, 1 for the first of `SHAPES`.
        bbox_xywh: tight box of the visible pixels, in pixels of the scene: left, top, width, height.
        area: visible pixels.
    """

    model_config = ConfigDict(frozen=True)

    category_id: int
    bbox_xywh: tuple[int, int, int, int]
    area: int


def scene_index(split: str, position: int) -> int:
    """Index under which `render_scene` finds a scene of a split.

    Args:
        split: `train`, `calibration` or `evaluation`.
        position: number of the scene within the split, from 0.

    Returns:
        Index that no other split and position has.

    Raises:
        ValueError: unknown split, or position outside it.
    """
    if split not in SPLIT_STARTS:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLIT_STARTS)}")
    if not 0 <= position < SPLIT_LENGTH:
        raise ValueError(f"position {position} lies outside a split, which has {SPLIT_LENGTH} scenes")
    return SPLIT_STARTS[split] + position


def render_scene(seed: int, index: int) -> tuple[Image, list[SceneObject]]:
    """Draws one scene.

    Args:
        seed: family of scenes, at least 0.
        index: number within the family, at least 0; see `scene_index`.

    Returns:
        Image, uint8 [H, W, 3] with channels B, G, R and sides of 200 to 384 pixels, and its objects, each at least
        half visible, in drawing order.
    """
    rng = np.random.default_rng([seed, index])
    height, width = (int(side) for side in rng.integers(SIDE_RANGE[0], SIDE_RANGE[1] + 1, 2))
    base = rng.integers(0, 256, 3)
    canvas = background(rng, height, width, base)
    placed: list[tuple[int, int, Mask]] = []
    for _ in range(int(rng.integers(1, MAX_OBJECTS + 1))):
        shape = int(rng.integers(len(SHAPES)))
        full, mask = place_shape(rng, SHAPES[shape], height, width)
        left, top, wide, high = cv2.boundingRect(mask.view(np.uint8))
        window = np.s_[top : top + high, left : left + wide]
        surface = fill(rng, high, wide, base)
        trimmed = [(kind, whole, seen & ~mask) for kind, whole, seen in placed]
        if all(_is_visible(seen, whole) for _, whole, seen in [*trimmed, (shape, full, mask)]):
            canvas[window][mask[window]] = surface[mask[window]]
            placed = [*trimmed, (shape, full, mask)]
    return camera(rng, canvas), [_scene_object(kind, seen) for kind, _, seen in placed]


def write_scenes(folder: Path, *, split: str, count: int, seed: int) -> Path:
    """Writes scenes of a split as PNG files with a COCO annotation file.

    Args:
        folder: receives `images/<split>-000001.png`, ... and `annotations.json`.
        split: `train`, `calibration` or `evaluation`.
        count: number of scenes.
        seed: family of scenes.

    Returns:
        Path of the annotation file.

    Raises:
        ValueError: unknown split, or more scenes than it has.
        OSError: the folder cannot be written.
    """
    images_folder = folder / "images"
    images_folder.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for position in range(count):
        pixels, objects = render_scene(seed, scene_index(split, position))
        # Not twelve digits: two images of one COCO id are taken for the same, and scenes of two splits never are.
        name = f"{split}-{position + 1:06d}.png"
        (images_folder / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        height, width = pixels.shape[:2]
        images.append({"id": position + 1, "file_name": name, "height": height, "width": width})
        annotations.extend(coco_annotations(objects, image_id=position + 1, first_id=len(annotations) + 1))
    document = {"images": images, "annotations": annotations, "categories": coco_categories()}
    path = folder / "annotations.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def coco_categories() -> list[dict[str, object]]:
    """COCO categories of all 80 channels, the shapes being 1 to 8.

    A network may see a class that never occurs, and that must count as nothing rather than as an unknown category.
    """
    return [{"id": i, "name": name, "supercategory": "shape"} for i, name in enumerate(CLASS_NAMES, 1)]


def coco_annotations(objects: list[SceneObject], *, image_id: int, first_id: int) -> list[dict[str, object]]:
    """COCO annotations of one scene.

    Args:
        objects: what `render_scene` drew.
        image_id: identifier of the image.
        first_id: identifier of the first annotation; the others follow.

    Returns:
        One record an object, in drawing order.
    """
    return [
        {
            "id": first_id + i,
            "image_id": image_id,
            "category_id": item.category_id,
            "bbox": list(item.bbox_xywh),
            "area": item.area,
            "iscrowd": 0,
        }
        for i, item in enumerate(objects)
    ]


def _is_visible(seen: Mask, whole: int) -> bool:
    return int(np.count_nonzero(seen)) >= MIN_VISIBLE * whole


def _scene_object(shape: int, seen: Mask) -> SceneObject:
    rows = np.flatnonzero(seen.any(axis=1))
    columns = np.flatnonzero(seen.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    box = (left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    return SceneObject(category_id=shape + 1, bbox_xywh=box, area=int(np.count_nonzero(seen)))
