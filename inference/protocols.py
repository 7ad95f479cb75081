"""What a named protocol (`artifacts.protocols`) keeps of the detections."""

from __future__ import annotations

import numpy as np

from artifacts.protocols import PROTOCOLS, Limits
from inference.decode import Detections

_CLASSES_OF_A_CELL = 80
"""COCO's: without a floor, each class may have a peak in one and the same cell."""


def decoded_top_k(limits: Limits) -> int:
    """How many detections have to be decoded for a protocol's ``top_k`` to be filled."""
    return limits.top_k * _CLASSES_OF_A_CELL if PROTOCOLS[limits.name].one_class_a_cell else limits.top_k


def by_protocol(limits: Limits, found: Detections) -> Detections:
    """Keep of the detections of one image what a protocol keeps.

    Args:
        limits: The protocol.
        found: As `inference.decode.decode` gives them with the protocol's floor and `decoded_top_k`.

    Returns:
        The detections, best first.
    """
    rules, boxes = PROTOCOLS[limits.name], found.boxes_xyxy
    kept = np.arange(len(found))
    if rules.one_class_a_cell:
        # The classes of a cell share its size and offset, and so the very same box; the first is its best.
        _, first = np.unique(boxes, axis=0, return_index=True)
        kept = np.sort(first)
    kept = kept[: limits.top_k]
    boxes = boxes[kept]
    if rules.whole_pixels:
        starts, sides = np.trunc(boxes[:, :2]), np.trunc(boxes[:, 2:] - boxes[:, :2])
        boxes = np.concatenate([starts, starts + sides], axis=1)
    return Detections(boxes, found.scores[kept], found.class_ids[kept])
