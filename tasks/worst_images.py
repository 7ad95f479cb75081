"""The images on which a model loses most against its reference, for somebody to look at.

AP is a property of a set of images, not of one. A single image is judged by F1: 2 TP / (2 TP + FP + FN), where a
detection with a score of at least 0.3 is true when it overlaps an object of its class by an IoU of at least 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from inference.decode import Detections
from tasks.accuracy import check_detections
from tasks.coco import Box, Dataset

MIN_SCORE = 0.3
MIN_IOU = 0.5


class ImageLoss(BaseModel):
    """One image's F1 by the reference and by the candidate, each 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: int
    file_name: str
    reference_f1: float
    candidate_f1: float

    @property
    def loss(self) -> float:
        """How much F1 the candidate loses."""
        return self.reference_f1 - self.candidate_f1


def worst_images(
    dataset: Dataset, reference: Mapping[int, Detections], candidate: Mapping[int, Detections], k: int
) -> list[ImageLoss]:
    """Find the images whose detections lose most against a reference's.

    Args:
        dataset: Images and annotated boxes.
        reference: Image id to the detections of the model to compare with, one entry for each image of the data set.
        candidate: Image id to the detections of the model that is judged, likewise.
        k: The most images that are returned.

    Returns:
        The images that lose anything, the greatest loss first, equal ones by image id.

    Raises:
        ValueError: The images are not those of the data set, or detections hold a class that it does not have, or a
            value that is not finite.
    """
    check_detections(dataset, reference)
    check_detections(dataset, candidate)
    losses = [
        ImageLoss(
            image_id=image.id,
            file_name=image.file_name,
            reference_f1=f1_score(dataset.boxes[image.id], reference[image.id], dataset.category_ids),
            candidate_f1=f1_score(dataset.boxes[image.id], candidate[image.id], dataset.category_ids),
        )
        for image in dataset.images
    ]
    return sorted((item for item in losses if item.loss > 0), key=lambda item: (-item.loss, item.image_id))[:k]


class Match(NamedTuple):
    """What the detections of one image are worth.

    Attributes:
        true: Indices of the detections that are an object's, best first.
        invented: Indices of those that are nobody's, best first.
        missed: Objects that nothing was found of.
    """

    true: tuple[int, ...]
    invented: tuple[int, ...]
    missed: tuple[Box, ...]

    @property
    def f1(self) -> float:
        """F1, 0..1; 1 where there is nothing to find and nothing was found."""
        total = 2 * len(self.true) + len(self.invented) + len(self.missed)
        return 2 * len(self.true) / total if total else 1.0


def f1_score(boxes: Sequence[Box], found: Detections, category_ids: Sequence[int]) -> float:
    """Score the detections of one image against its boxes, as `match` does; 0..1."""
    return match(boxes, found, category_ids).f1


def match(boxes: Sequence[Box], found: Detections, category_ids: Sequence[int]) -> Match:
    """Tell which detections of one image are true (see above).

    Each detection, best first, takes the free object of its class that it overlaps most. What lies at least half inside
    a crowd of its class counts neither way.

    Args:
        boxes: The annotated boxes.
        found: The detections.
        category_ids: Category id of each class index.

    Returns:
        What is true, invented and missed.
    """
    objects = [box for box in boxes if not box.iscrowd]
    crowds = [box for box in boxes if box.iscrowd]
    free = set(range(len(objects)))
    true, invented = [], []
    for index in map(int, np.argsort(-found.scores, kind="stable")):
        if found.scores[index] < MIN_SCORE:
            break
        box, category_id = found.boxes_xyxy[index].astype(np.float64), category_ids[int(found.class_ids[index])]
        overlaps = {number: _iou(box, objects[number]) for number in free if objects[number].category_id == category_id}
        best = max(overlaps, key=lambda number: (overlaps[number], -number), default=None)
        if best is not None and overlaps[best] >= MIN_IOU:
            free.remove(best)
            true.append(index)
        elif not any(_share_inside(box, crowd) >= MIN_IOU for crowd in crowds if crowd.category_id == category_id):
            invented.append(index)
    return Match(tuple(true), tuple(invented), tuple(objects[number] for number in sorted(free)))


def _intersection(xyxy: np.ndarray, box: Box) -> float:
    left, top, width, height = box.xywh
    wide = min(xyxy[2], left + width) - max(xyxy[0], left)
    high = min(xyxy[3], top + height) - max(xyxy[1], top)
    return float(max(wide, 0) * max(high, 0))


def _area(xyxy: np.ndarray) -> float:
    return float(max(xyxy[2] - xyxy[0], 0) * max(xyxy[3] - xyxy[1], 0))


def _iou(xyxy: np.ndarray, box: Box) -> float:
    both = _intersection(xyxy, box)
    union = _area(xyxy) + box.xywh[2] * box.xywh[3] - both
    return both / union if union > 0 else 0.0


def _share_inside(xyxy: np.ndarray, box: Box) -> float:
    area = _area(xyxy)
    return _intersection(xyxy, box) / area if area > 0 else 0.0
