"""How far two ways of preparing an image are from each other: in the tensor, and in what is found."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from artifacts.release import PreprocessSpec
from inference.decode import Detections

SAME_IOU = 0.5
FURTHEST = 255.0


class TensorDistance(NamedTuple):
    """In pixel values, 0 to 255, over all three planes.

    Attributes:
        mean: Mean of the absolute differences.
        largest: The largest.
    """

    mean: float
    largest: float


class Agreement(NamedTuple):
    """Two lists of detections beside each other.

    Attributes:
        first: How many the first has.
        second: How many the second has.
        same: How many are in both: one class, an IoU of at least 0.5, each once.
        iou: Mean IoU of those; NaN where there are none.
        score: Mean absolute difference of their scores; NaN where there are none.
    """

    first: int
    second: int
    same: int
    iou: float
    score: float


def tensor_distance(first: np.ndarray, second: np.ndarray, spec: PreprocessSpec) -> TensorDistance:
    """Compare two input tensors of one image.

    Args:
        first: float32 [3, H, W], or uint8 where ``spec.fused``.
        second: The same.
        spec: What made them.

    Returns:
        How far they are apart; as far as can be where a value is no number.
    """
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    if not np.isfinite(apart).all():
        return TensorDistance(FURTHEST, FURTHEST)
    if not spec.fused:
        apart *= np.array(spec.std).reshape(3, 1, 1) / spec.scale
    return TensorDistance(float(apart.mean()), float(apart.max()))


def agreement(first: Detections, second: Detections) -> Agreement:
    """Pair detections of one image, the best of the first list first, each with the nearest that is left."""
    ious, scores = [], []
    left = np.ones(len(second), dtype=bool)
    for box, score, class_id in zip(first.boxes_xyxy, first.scores, first.class_ids):
        fitting = np.where(left & (second.class_ids == class_id), _ious(box, second.boxes_xyxy), 0.0)
        if fitting.size and fitting.max() >= SAME_IOU:
            best = int(fitting.argmax())
            left[best] = False
            ious.append(float(fitting[best]))
            scores.append(abs(float(score) - float(second.scores[best])))
    return Agreement(len(first), len(second), len(ious), _mean(ious), _mean(scores))


def together(each: Sequence[Agreement]) -> Agreement:
    """Sum up over images."""
    found = [one for one in each if one.same]
    pairs = sum(one.same for one in found)
    return Agreement(
        sum(one.first for one in each),
        sum(one.second for one in each),
        pairs,
        sum(one.iou * one.same for one in found) / pairs if pairs else float("nan"),
        sum(one.score * one.same for one in found) / pairs if pairs else float("nan"),
    )


def _ious(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    sizes = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    whole = float(np.clip(box[2:] - box[:2], 0, None).prod()) + sizes - shared
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
