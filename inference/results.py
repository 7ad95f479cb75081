"""Detections as COCO results JSON (https://cocodataset.org/#format-results)."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import Dict, List, Optional, Sequence, Union

from inference.decode import Detections

Entry = Dict[str, Union[int, float, str, List[float]]]

# The official ids of COCO's 80 classes run from 1 to 90 and leave these out.
_COCO_GAPS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
_COCO_CLASSES = 80


def coco_entries(
    image_id: int, name: str, detections: Detections, categories: Sequence[int], *, time_s: Optional[float] = None
) -> List[Entry]:
    """Put the detections of one image into COCO's results format.

    Args:
        image_id: The image's id.
        name: Its file name, or the video's with the number of the frame.
        detections: What was found in it.
        categories: The category id of each class id (`category_ids`).
        time_s: When it was, in seconds; None leaves that out.

    Returns:
        One entry for each detection: ``image_id``, ``category_id``, ``bbox`` as [left, top, width, height] in pixels,
        ``score``, and on top of the format ``file_name`` and ``time_s``.
    """
    entries: List[Entry] = []
    for box, score, class_id in zip(detections.boxes_xyxy, detections.scores, detections.class_ids):
        left, top, right, bottom = (float(value) for value in box)
        entry: Entry = {
            "image_id": image_id,
            "category_id": categories[class_id],
            "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
            "score": round(float(score), 6),
            "file_name": name,
        }
        if time_s is not None:
            entry["time_s"] = round(time_s, 3)
        entries.append(entry)
    return entries


def category_ids(class_names: Sequence[str]) -> List[int]:
    """The category id of each class: COCO's official ones for its own 80 classes, else 1, 2, 3, ...

    Args:
        class_names: The name of each class id of the model.
    """
    if len(class_names) == _COCO_CLASSES and (class_names[0], class_names[-1]) == ("person", "toothbrush"):
        return [number for number in range(1, 91) if number not in _COCO_GAPS]
    return list(range(1, len(class_names) + 1))


def image_ids(names: Sequence[str]) -> List[int]:
    """The id of each image: the number that its name is, as in COCO, where that holds for all; else 1, 2, 3, ...

    Args:
        names: File names.
    """
    stems = [PurePath(name).stem for name in names]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


def summary(detections: Detections, class_names: Sequence[str]) -> str:
    """What was found, on one line: ``2 person, 1 dog``, by number; or ``nothing``.

    Args:
        detections: The detections of one image.
        class_names: The name of each class id of the model.
    """
    counted = Counter(int(class_id) for class_id in detections.class_ids)
    return ", ".join(f"{number} {class_names[class_id]}" for class_id, number in counted.most_common()) or "nothing"
