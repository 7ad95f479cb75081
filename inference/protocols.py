"""What a named protocol (`artifacts.protocols`) keeps of the detections."""

from __future__ import annotations

import numpy as np

from artifacts.protocols import PROTOCOLS, Limits
from inference.decode import Detections


def by_protocol(limits: Limits, found: Detections) -> Detections:
    """Keep of the detections of one image what a protocol keeps.

    Args:
        limits: The protocol.
        found: As `inference.decode.decode` gives them with the protocol's floor, number and
            ``one_class_a_cell``.

    Returns:
        The detections, best first.
    """
    rules, kept = PROTOCOLS[limits.name], slice(limits.top_k)
    boxes = found.boxes_xyxy[kept]
    if rules.whole_pixels:
        starts, sides = np.trunc(boxes[:, :2]), np.trunc(boxes[:, 2:] - boxes[:, :2])
        boxes = np.concatenate([starts, starts + sides], axis=1)
    return Detections(boxes, found.scores[kept], found.class_ids[kept])
