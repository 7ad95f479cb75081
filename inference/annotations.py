"""Reading of annotations in COCO's detection layout (cocodataset.org, "Data format", 1. Object detection)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from artifacts.bounded import read_bounded
from artifacts.digest import digest_bytes
from inference.errors import AnnotationError

MAX_FILE_BYTES = 1 << 30

_WANTED = "Name a file in COCO's layout for detection, with images, annotations and categories"


class TrueBox(NamedTuple):
    """One annotated object.

    Attributes:
        category_id: The category's id in the file.
        xywh: left, top, width, height in pixels.
        area: Square pixels: the object's own where the file tells, else that of the box.
        crowd: Whether the box is around a group that is not annotated one by one.
    """

    category_id: int
    xywh: Tuple[float, float, float, float]
    area: float
    crowd: bool


class Annotations(NamedTuple):
    """Images and their boxes.

    Attributes:
        digest: Of the file's bytes.
        images: Image id to file name, by id.
        boxes: Image id to its boxes, in the file's order; every image has an entry.
        categories: (id, name) in the order of the ids.
    """

    digest: str
    images: Dict[int, str]
    boxes: Dict[int, List[TrueBox]]
    categories: Tuple[Tuple[int, str], ...]

    def first(self, count: int) -> Annotations:
        """The same with only the first images by id, all categories kept.

        Args:
            count: How many.
        """
        chosen = dict(list(self.images.items())[:count])
        return self._replace(images=chosen, boxes={number: self.boxes[number] for number in chosen})


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file.

    Args:
        path: A JSON file of at most 1 GiB.

    Raises:
        AnnotationError: The file cannot be read, is no such JSON, or contradicts itself; the message says where.
    """
    try:
        data = read_bounded(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise AnnotationError(
            f"the annotations {path} cannot be read: {error}. Check the name and who may read it", path
        ) from error
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is no JSON ({error}). {_WANTED}", path) from error
    try:
        return _build(document, digest_bytes(data))
    except (ValueError, RecursionError) as error:  # RecursionError: from showing a nested value
        raise AnnotationError(f"{path} cannot be used: {error}. {_WANTED}", path) from error


def dataset_digest(annotations: str, images: Iterable[Tuple[str, str]]) -> str:
    """The digest that names a data set in a protocol: of its annotations and of each image, by name.

    Args:
        annotations: Digest of the annotation file's bytes.
        images: File name and digest of each image's bytes.
    """
    lines = [annotations, *(f"{name} {digest}" for name, digest in sorted(images))]
    return digest_bytes("\n".join(lines).encode())


def class_of_category(annotations: Annotations, class_names: Sequence[str]) -> Dict[int, int]:
    """Find the class of the network that each category is, by its name.

    Args:
        annotations: The data set.
        class_names: The name of each class id of the network.

    Returns:
        Class id to the position of its category in ``annotations.categories``; a class that is no category is left out.

    Raises:
        AnnotationError: A category is none of the network's classes.
    """
    unknown = [name for _, name in annotations.categories if name not in class_names]
    if unknown:
        raise AnnotationError(
            f"the annotations have {len(unknown)} of {len(annotations.categories)} categories that the model does not "
            f"find: {', '.join(unknown[:10])}. They are for another model"
        )
    return {class_names.index(name): position for position, (_, name) in enumerate(annotations.categories)}


def _build(document: Any, digest: str) -> Annotations:
    names = {number: _file_name(entry, where) for where, number, entry in _entries(document, "images")}
    categories = {number: _category(entry, where) for where, number, entry in _entries(document, "categories")}
    for what, values in (("file_name", names.values()), ("category name", categories.values())):
        if len(set(values)) < len(values):
            raise ValueError(f"the same {what} is there twice")
    boxes: Dict[int, List[TrueBox]] = {number: [] for number in sorted(names)}
    for where, _, entry in _entries(document, "annotations"):
        box = _box(entry, where)
        image_id = entry.get("image_id")
        # By its type first: a list is no key, and 1.0 is one that equals 1.
        if type(image_id) is not int or image_id not in boxes or box.category_id not in categories:
            raise ValueError(f"{where} names an image or a category that is not there")
        boxes[image_id].append(box)
    return Annotations(digest, {number: names[number] for number in boxes}, boxes, tuple(sorted(categories.items())))


def _entries(document: Any, part: str) -> List[Tuple[str, int, Dict[str, Any]]]:
    entries = document.get(part) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"{part!r} is missing or no list")
    found = []
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or type(entry.get("id")) is not int:
            raise ValueError(f"{part}[{position}] is no object with a whole number as its id")
        found.append((f"{part}[{position}]", entry["id"], entry))
    if len({number for _, number, _ in found}) < len(found):
        raise ValueError(f"an id is there twice among {part!r}")
    return found


def _file_name(entry: Dict[str, Any], where: str) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name.isprintable() or {"", ".", ".."} & set(name.split("/")) or "\\" in name:
        raise ValueError(f"{where}: file_name is {str(name)[:80]!r}, not the name of a file inside the image folder")
    return name


def _category(entry: Dict[str, Any], where: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError(f"{where}: name is {str(name)[:80]!r}, not a text")
    return name


def _box(entry: Dict[str, Any], where: str) -> TrueBox:
    xywh = entry.get("bbox")
    if not isinstance(xywh, list) or len(xywh) != 4 or not all(map(_is_finite, xywh)) or min(xywh[2:]) < 0:
        raise ValueError(f"{where}: bbox is {str(xywh)[:80]}, not left, top, width and height")
    left, top, width, height = map(float, xywh)
    area, crowd = entry.get("area", width * height), entry.get("iscrowd", 0)
    if not _is_finite(area) or area < 0 or crowd not in (0, 1):
        raise ValueError(f"{where}: area {str(area)[:40]} or iscrowd {str(crowd)[:40]} is not what it can be")
    category_id = entry.get("category_id")
    if type(category_id) is not int:
        raise ValueError(f"{where} names an image or a category that is not there")
    return TrueBox(category_id, (left, top, width, height), float(area), bool(crowd))


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300
