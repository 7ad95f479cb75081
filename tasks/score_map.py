"""The score of a quantized model that means what a score of the original means.

Quantization moves scores, so that the same threshold finds fewer objects, or more. Of each model the detections that
are an object's (COCO's matching at IoU 0.50, all classes together) are ordered by score; the scores at which both have
found as many objects, that is at equal recall, belong together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.accuracy import HIT
from tasks.bootstrap import JudgedImages

LEVELS = tuple(round(level, 2) for level in np.linspace(0.05, 0.95, 19).tolist())
LEAST_FOUND = 10
"""Below so many objects found the order of a few decides, and nothing is said."""


def matching_scores(
    reference: JudgedImages, candidate: JudgedImages, *, floor: float
) -> tuple[tuple[float, float], ...]:
    """Find for scores of one model the scores of another at which as many objects are found.

    Args:
        reference: What the first model found, image by image.
        candidate: What the other one found in the same images.
        floor: Detections below this score were left out of both.

    Returns:
        Score of the first and score of the other, both rising, each 0..1; only for `LEVELS` above the floor at which
        the first finds `LEAST_FOUND` objects or more and the other can find as many.
    """
    theirs, ours = _found(reference), _found(candidate)
    pairs = []
    for level in (level for level in LEVELS if level >= floor):
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


def _found(images: JudgedImages) -> NDArray[np.float64]:
    """The scores of all detections that are an object's, best first."""
    scores = [one.scores[one.outcome[0] == HIT] for classes in images for _, one in classes]
    return np.asarray(-np.sort(-np.concatenate([*scores, np.zeros(0)])), dtype=np.float64)
