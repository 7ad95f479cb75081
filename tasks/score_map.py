"""The score of a quantized model that means what a score of the original means.

Quantization moves scores, so that the same threshold finds fewer objects, or more. Of each model the detections that
are an object's (COCO's matching at IoU 0.50, all classes together) are ordered by score; the scores at which both have
found as many objects, that is at equal recall, belong together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.accuracy import HIT, judge_image
from inference.annotations import Annotations
from inference.decode import Detections

LEVELS = tuple(round(level, 2) for level in np.linspace(0.05, 0.95, 19).tolist())
LEAST_FOUND = 10
"""Below so many objects found the order of a few decides, and nothing is said."""


def matching_scores(
    truth: Annotations,
    reference: Mapping[int, Detections],
    candidate: Mapping[int, Detections],
    *,
    max_detections: int = 100,
) -> tuple[tuple[float, float], ...]:
    """Find for scores of one model the scores of another at which as many objects are found.

    Args:
        truth: Images and annotated boxes.
        reference: Image id to what the first model found there, for each image of the truth; class ids are positions in
            `truth.categories`.
        candidate: The same of the other one.
        max_detections: The most detections of an image and class that count, best first.

    Returns:
        Score of the first and score of the other, both rising, each 0..1; only for `LEVELS` at which the first finds
        `LEAST_FOUND` objects or more and the other can find as many.
    """
    theirs, ours = (_found(truth, one, max_detections) for one in (reference, candidate))
    pairs = []
    for level in LEVELS:
        objects = int(np.count_nonzero(theirs >= level))
        if LEAST_FOUND <= objects <= len(ours):
            # As far between this object's score and the next one's as the level is for the first model.
            (above, below), (high, low) = _around(theirs, objects), _around(ours, objects)
            share = (above - level) / (above - below)
            pairs.append((level, round(high - share * (high - low), 4)))
    return tuple(pairs)


def _around(scores: NDArray[np.float64], objects: int) -> tuple[float, float]:
    """The score of the last of so many objects, and of the next one; 0 where there is none."""
    return float(scores[objects - 1]), float(scores[objects]) if objects < len(scores) else 0.0


def _found(truth: Annotations, found: Mapping[int, Detections], max_detections: int) -> NDArray[np.float64]:
    """The scores of all detections that are an object's, best first."""
    scores = [
        one.scores[one.outcome[0] == HIT]
        for image in truth.images
        for _, one in judge_image(truth, image, found[image], max_detections)
    ]
    return np.asarray(-np.sort(-np.concatenate([*scores, np.zeros(0)])), dtype=np.float64)
