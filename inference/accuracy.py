"""Average precision of boxes as COCO defines it (cocodataset.org, "Detection evaluation"), in numpy alone.

It gives what pycocotools gives: AP over IoU 0.50, 0.55, .. 0.95, over the classes and over 101 recall
points, for objects of all sizes and of some. pycocotools has to be compiled, which a board may not be able to.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from inference.annotations import Annotations, TrueBox
from inference.decode import Detections

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)

_LARGEST_AREA = 1e5**2
EVERY_AREA = (0.0, _LARGEST_AREA)
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, _LARGEST_AREA)}
"""Square pixels of what COCO calls small, medium and large; an object at a border belongs to both."""

MISSED, HIT, IGNORED = 0, 1, 2

_AT_50, _AT_75 = slice(0, 1), slice(5, 6)


class AveragePrecision(NamedTuple):
    """Each 0..1, or None where nothing is annotated.

    Attributes:
        ap: Over IoU 0.50 to 0.95.
        ap50: At IoU 0.50.
    """

    ap: Optional[float]
    ap50: Optional[float]


class Breakdown(NamedTuple):
    """What stands behind an average precision; each 0..1, or None where nothing of the kind is annotated.

    Attributes:
        whole: Over all objects.
        ap75: At IoU 0.75.
        by_size: AP of small, medium and large objects.
        by_class: AP by the class's name.
    """

    whole: AveragePrecision
    ap75: Optional[float]
    by_size: Dict[str, Optional[float]]
    by_class: Dict[str, Optional[float]]


class Judged(NamedTuple):
    """The detections of one class in one image, best first.

    Attributes:
        scores: float32 [D].
        outcome: int8 [thresholds, D]: `MISSED`, `HIT`, or `IGNORED`.
        objects: How many objects there are to be found.
    """

    scores: np.ndarray
    outcome: np.ndarray
    objects: int


def average_precision(
    truth: Annotations, found: Mapping[int, Detections], *, max_detections: int = 100
) -> AveragePrecision:
    """Compute AP and AP50.

    Args:
        truth: Images and annotated boxes.
        found: Image id to what was found there, for each image of the truth; class ids are positions in
            ``truth.categories``.
        max_detections: The most detections of an image and class that count, best first.

    Raises:
        KeyError: An image of the truth has no entry.
    """
    curves = _curves(truth, found, max_detections, EVERY_AREA)
    return AveragePrecision(_mean(curves), _mean(curves, _AT_50))


def breakdown(truth: Annotations, found: Mapping[int, Detections], *, max_detections: int = 100) -> Breakdown:
    """Compute AP over all objects, at single thresholds, by size and by class.

    Args:
        truth: Images and annotated boxes.
        found: Image id to what was found there, for each image of the truth; class ids are positions in
            ``truth.categories``.
        max_detections: The most detections of an image and class that count, best first.

    Raises:
        KeyError: An image of the truth has no entry.
    """
    curves = _curves(truth, found, max_detections, EVERY_AREA)
    return Breakdown(
        whole=AveragePrecision(_mean(curves), _mean(curves, _AT_50)),
        ap75=_mean(curves, _AT_75),
        by_size={size: _mean(_curves(truth, found, max_detections, areas)) for size, areas in AREAS.items()},
        by_class={name: _mean([curve]) for (_, name), curve in zip(truth.categories, curves)},
    )


def judge_image(
    truth: Annotations,
    image: int,
    found: Detections,
    max_detections: int,
    areas: Tuple[float, float] = EVERY_AREA,
) -> List[Tuple[int, Judged]]:
    """Judge each class that is annotated or found in an image.

    Args:
        truth: Annotated boxes.
        image: The image's id.
        found: What was found there; class ids are positions in ``truth.categories``.
        max_detections: The most detections of a class that count, best first.
        areas: Smallest and largest area of the objects that count, square pixels.

    Returns:
        Position in ``truth.categories`` and what its detections are worth.
    """
    boxes = found.boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    true: Dict[int, List[TrueBox]] = {}
    for box in truth.boxes[image]:
        true.setdefault(box.category_id, []).append(box)
    judged = []
    for position, (category, _) in enumerate(truth.categories):
        mine = np.flatnonzero(found.class_ids == position)
        if not len(mine) and category not in true:
            continue
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:max_detections]
        judged.append((position, _judge(boxes[mine], found.scores[mine], true.get(category, []), areas)))
    return judged


def _judge(boxes: np.ndarray, scores: np.ndarray, true: List[TrueBox], areas: Tuple[float, float]) -> Judged:
    """Match detections, best first, to the objects of their class.

    Args:
        boxes: float64 [D, 4], left, top, width, height.
        scores: float32 [D], falling.
        true: The objects; those that are to be ignored match only what matches no other.
        areas: Smallest and largest area of the objects that count, square pixels.
    """
    least, most = areas
    ignored = [box.crowd or not least <= box.area <= most for box in true]
    order = sorted(range(len(true)), key=lambda index: ignored[index])
    true, ignored = [true[index] for index in order], [ignored[index] for index in order]
    overlaps = _overlaps(boxes, true)
    outcome = np.full((len(IOU_THRESHOLDS), len(boxes)), MISSED, dtype=np.int8)
    for row, threshold in enumerate(IOU_THRESHOLDS):
        outcome[row] = _match(overlaps, true, ignored, min(float(threshold), 1 - 1e-10))
    own = boxes[:, 2] * boxes[:, 3]
    strange = (own < least) | (own > most)
    outcome[(outcome == MISSED) & strange[None, :]] = IGNORED
    return Judged(scores, outcome, ignored.count(False))


def _match(overlaps: np.ndarray, true: List[TrueBox], ignored: List[bool], threshold: float) -> List[int]:
    """The outcome of each detection at one threshold."""
    taken = [False] * len(true)
    outcome = []
    for row in overlaps.tolist():
        best, chosen = threshold, -1
        for index, overlap in enumerate(row):
            if taken[index] and not true[index].crowd:
                continue
            if chosen >= 0 and not ignored[chosen] and ignored[index]:
                break  # the rest is to be ignored, and it has an object
            if overlap >= best:
                best, chosen = overlap, index
        if chosen < 0:
            outcome.append(MISSED)
            continue
        taken[chosen] = True
        outcome.append(IGNORED if ignored[chosen] else HIT)
    return outcome


def _overlaps(boxes: np.ndarray, true: List[TrueBox]) -> np.ndarray:
    """Intersection over union, float64 [D, G]; over the detection's own area where the object is a crowd."""
    if not len(boxes) or not true:
        return np.zeros((len(boxes), len(true)))
    theirs = np.array([box.xywh for box in true], dtype=np.float64)
    starts = np.maximum(boxes[:, None, :2], theirs[None, :, :2])
    ends = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], theirs[None, :, :2] + theirs[None, :, 2:])
    sides = ends - starts
    shared = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    own = (boxes[:, 2] * boxes[:, 3])[:, None]
    crowd = np.array([box.crowd for box in true])
    whole = np.where(crowd[None, :], own, own + theirs[:, 2] * theirs[:, 3] - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0))


def _curves(
    truth: Annotations, found: Mapping[int, Detections], max_detections: int, areas: Tuple[float, float]
) -> List[Optional[np.ndarray]]:
    """The precision of each class, in the order of ``truth.categories``."""
    judged: List[List[Judged]] = [[] for _ in truth.categories]
    for image in truth.images:
        for position, one in judge_image(truth, image, found[image], max_detections, areas):
            judged[position].append(one)
    return [_precision(of_class) if of_class else None for of_class in judged]


def _mean(curves: List[Optional[np.ndarray]], thresholds: slice = slice(None)) -> Optional[float]:
    known = [curve[thresholds] for curve in curves if curve is not None]
    return float(np.stack(known).mean()) if known else None


def _precision(judged: List[Judged]) -> Optional[np.ndarray]:
    """Precision of one class at each recall, float64 [thresholds, recalls]; None where it has no objects."""
    objects = sum(one.objects for one in judged)
    if objects == 0:
        return None
    scores = np.concatenate([one.scores for one in judged])
    outcome = np.concatenate([one.outcome for one in judged], axis=1)[:, np.argsort(-scores, kind="stable")]
    hits = np.cumsum(outcome == HIT, axis=1, dtype=np.float64)
    misses = np.cumsum(outcome == MISSED, axis=1, dtype=np.float64)
    table = np.zeros((len(IOU_THRESHOLDS), len(RECALLS)))
    for row in range(len(IOU_THRESHOLDS)):
        precision = hits[row] / (hits[row] + misses[row] + np.spacing(1))
        # The best precision at this recall or a higher one.
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(hits[row] / objects, RECALLS, side="left")
        reached = places < len(falling)
        table[row, reached] = falling[places[reached]]
    return table
