"""Strict reading of annotations in COCO's detection layout (cocodataset.org, "Data format", 1. Object detection).

Everything wrong with a file is reported together. Only what detection needs is read: ids, names, sizes, boxes,
``iscrowd`` and ``area``; segmentation, licences and the rest are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict

from artifacts.bounded import read_bounded
from tasks.errors import BadAnnotations

MAX_FILE_BYTES = 1 << 30
MOST_PIXELS = 1 << 31
SHOWN_PROBLEMS = 10

EDGE_TOLERANCE_PX = 1.0
"""How far a box may reach beyond its image: official boxes are polygons' hulls, rounded, and some touch an edge."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageEntry(_Record):
    """One image of a data set; width and height in pixels."""

    id: int
    file_name: str
    width: int
    height: int


class Box(_Record):
    """One annotated object.

    Attributes:
        xywh: left, top, width, height in pixels, as annotated (not clipped).
        category_id: The category's id in the file, not the network's class index.
        iscrowd: Whether the box is around a group that is not annotated one by one.
        area: Square pixels: the object's own where the file tells, else that of the box.
    """

    xywh: tuple[float, float, float, float]
    category_id: int
    iscrowd: bool
    area: float


class Dataset(_Record):
    """Images and their boxes.

    Attributes:
        images: In the order of their ids.
        boxes: Image id to its boxes, in the file's order; every image has an entry.
        categories: (id, name) in the order of the ids, which is that of the network's classes: class index i is the
            i-th category (COCO's ids 1..90 have gaps).
    """

    images: tuple[ImageEntry, ...]
    boxes: dict[int, tuple[Box, ...]]
    categories: tuple[tuple[int, str], ...]

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Category id of each class index."""
        return tuple(identity for identity, _ in self.categories)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class index."""
        return tuple(name for _, name in self.categories)

    def subset(self, image_ids: Collection[int]) -> Dataset:
        """Return the data set with only these images, all categories kept.

        Raises:
            KeyError: An id is not in the data set.
        """
        wanted = {image_id: self.boxes[image_id] for image_id in sorted(set(image_ids))}
        images = tuple(image for image in self.images if image.id in wanted)
        return Dataset.model_construct(images=images, boxes=wanted, categories=self.categories)


class _Problems:
    """Problems of one file: all are counted, the first are kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shown: list[str] = []
        self.total = 0

    def add(self, problem: str) -> None:
        self.total += 1
        if len(self.shown) < SHOWN_PROBLEMS:
            self.shown.append(problem)

    def raise_any(self) -> None:
        if self.total:
            raise BadAnnotations(self.name, self.shown, self.total)


def read_dataset(path: Path) -> Dataset:
    """Read an annotation file.

    Args:
        path: A JSON file of at most 1 GiB.

    Returns:
        The data set.

    Raises:
        BadAnnotations: The file cannot be read, is too large, or `parse_dataset` refuses it.
    """
    try:
        data = read_bounded(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _refusal(str(path), f"the file cannot be read: {error}") from error
    return parse_dataset(data, str(path))


def parse_dataset(data: bytes, name: str = "the annotations") -> Dataset:
    """Make a data set of an annotation file's bytes.

    Args:
        data: JSON text in UTF-8.
        name: What to call the file in messages.

    Returns:
        The data set.

    Raises:
        BadAnnotations: It is not JSON or nested too deeply; a part is missing or of a wrong type; an id or a name is
            there twice; an annotation names a missing image or category; a box is not finite, negative, or reaches
            more than a pixel beyond its image. Up to ten problems are listed and all are counted.
    """
    try:
        return _build(_load(data, name), name)
    except RecursionError as error:  # from showing a nested value in a message, too
        raise _refusal(name, "the JSON is nested too deeply") from error


def check_files(dataset: Dataset, folder: Path) -> None:
    """Make sure that every image of a data set lies in a folder.

    Args:
        dataset: The data set.
        folder: Where its images should lie under their file names.

    Raises:
        BadAnnotations: Images are missing; up to ten are listed and all are counted.
    """
    problems = _Problems(str(folder))
    for image in dataset.images:
        if not (folder / image.file_name).is_file():
            problems.add(f"image {image.id}: there is no file {image.file_name}")
    problems.raise_any()


def _refusal(name: str, problem: str) -> BadAnnotations:
    return BadAnnotations(name, [problem], 1)


def _load(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise _refusal(name, f"it is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise _refusal(name, f"the top of the JSON is a {type(document).__name__}, not an object")
    return document


def _build(document: dict[str, Any], name: str) -> Dataset:
    problems = _Problems(name)
    images, categories = _read_images(document, problems), _read_categories(document, problems)
    boxes = _read_boxes(document, images, categories, problems)
    problems.raise_any()
    ids = sorted(images)
    return Dataset.model_construct(
        images=tuple(images[image_id] for image_id in ids),
        boxes={image_id: tuple(boxes[image_id]) for image_id in ids},
        categories=tuple(sorted(categories.items())),
    )


def _entries(document: dict[str, Any], part: str, problems: _Problems) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (what to call it, id, entry) for each sound entry of a part, complaining about the others."""
    entries = document.get(part)
    if not isinstance(entries, list):
        problems.add(f"{part!r} is missing or no list")
        return
    seen: set[int] = set()
    for position, entry in enumerate(entries):
        where = f"{part}[{position}]"
        identity = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(entry, dict):
            problems.add(f"{where} is a {type(entry).__name__}, not an object")
        elif not _is_int(identity):
            problems.add(f"{where}: id is {identity!r:.40}, not a whole number")
        elif identity in seen:
            problems.add(f"{where}: id {identity} is there twice")
        else:
            seen.add(identity)
            yield f"{where} (id {identity})", identity, entry


def _read_categories(document: dict[str, Any], problems: _Problems) -> dict[int, str]:
    ids: dict[str, int] = {}
    for where, identity, entry in _entries(document, "categories", problems):
        name = entry.get("name")
        if not _is_text(name):
            problems.add(f"{where}: name is {name!r:.40}, not a text")
        elif name in ids:
            problems.add(f"{where}: name {name!r:.40} is there twice")
        else:
            ids[name] = identity
    return {identity: name for name, identity in ids.items()}


def _read_images(document: dict[str, Any], problems: _Problems) -> dict[int, ImageEntry]:
    images: dict[int, ImageEntry] = {}
    names: set[str] = set()
    for where, identity, entry in _entries(document, "images", problems):
        name, width, height = entry.get("file_name"), entry.get("width"), entry.get("height")
        if not _is_inner_path(name):
            problems.add(f"{where}: file_name is {name!r:.80}, not the name of a file inside the image folder")
        elif name in names:
            problems.add(f"{where}: file_name {name!r:.80} is there twice")
        elif not (_is_int(width) and _is_int(height) and min(width, height) > 0 and max(width, height) < MOST_PIXELS):
            problems.add(f"{where}: width and height are {width!r:.40} and {height!r:.40}, not whole pixels")
        else:
            images[identity] = ImageEntry.model_construct(id=identity, file_name=name, width=width, height=height)
            names.add(name)
    return images


def _read_boxes(
    document: dict[str, Any], images: dict[int, ImageEntry], categories: dict[int, str], problems: _Problems
) -> dict[int, list[Box]]:
    boxes: dict[int, list[Box]] = {image_id: [] for image_id in images}
    for where, _, entry in _entries(document, "annotations", problems):
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        if not _is_int(image_id) or image_id not in images:
            problems.add(f"{where}: it names image {image_id!r:.40}, which is not among the sound images")
        elif not _is_int(category_id) or category_id not in categories:
            problems.add(f"{where}: it names category {category_id!r:.40}, which is not among the sound categories")
        else:
            box = _read_box(where, entry, images[image_id], problems)
            boxes[image_id].extend([box] if box else [])
    return boxes


def _read_box(where: str, entry: dict[str, Any], image: ImageEntry, problems: _Problems) -> Box | None:
    xywh = entry.get("bbox")
    if not isinstance(xywh, list) or len(xywh) != 4 or not all(map(_is_finite, xywh)):
        problems.add(f"{where}: bbox is {xywh!r:.80}, not four finite numbers")
        return None
    left, top, width, height = map(float, xywh)
    if min(width, height) < 0:
        problems.add(f"{where}: bbox {xywh!r:.80} has a negative width or height")
        return None
    over = max(-left, -top, left + width - image.width, top + height - image.height)
    if over > EDGE_TOLERANCE_PX:
        problems.add(f"{where}: bbox {xywh!r:.80} reaches {over:g} px beyond its {image.width} x {image.height} image")
        return None
    crowd, area = entry.get("iscrowd", 0), entry.get("area", width * height)
    if not _is_finite(area) or area < 0 or crowd not in (0, 1):
        problems.add(f"{where}: area {area!r:.40} or iscrowd {crowd!r:.40} is not what it can be")
        return None
    return Box.model_construct(
        xywh=(left, top, width, height), category_id=entry["category_id"], iscrowd=bool(crowd), area=float(area)
    )


def _is_int(value: Any) -> TypeGuard[int]:
    return type(value) is int  # isinstance would let True pass


def _is_finite(value: Any) -> bool:
    # The bound also refuses integers beyond a float's range, which isfinite raises for.
    return type(value) in (int, float) and abs(value) < 1e300


def _is_text(value: Any) -> TypeGuard[str]:
    # Not printable are control characters and the lone surrogates that JSON can carry and UTF-8 cannot.
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_inner_path(name: Any) -> TypeGuard[str]:
    """Tell whether a file name stays inside the folder that it is joined to."""
    return _is_text(name) and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))
