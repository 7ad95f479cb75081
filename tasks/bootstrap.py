"""How much average precision one model loses against another, and how sure that is.

AP on some hundred images is itself a draw: with other images of the same kind both models would score otherwise. The
paired bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13) draws as many images as
there are, with replacement, scores both models on each draw, and looks at how their difference spreads about that of
the set; the bounds are the basic ones (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section
5.2). Pairing matters: the two find nearly the same, so that their difference is surer by far than either score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from artifacts.measurements import Loss
from inference.accuracy import HIT, IOU_THRESHOLDS, MISSED, RECALLS, Judged, judge_image
from inference.annotations import Annotations
from inference.decode import Detections

DRAWS = 1000
CONFIDENCE = 0.95

_AT_ONCE = 100  # draws; of a class with ten thousand hits each table has 8 MB
_COLUMNS = 512  # hits; of five thousand images a table of counts has 20 MB
_MOST_IMAGES = 1_000_000
# 0.5 - 0.495 is a little more than 0.005 in binary.
_ROUNDING = 1e-9

Floats = NDArray[np.float64]
JudgedImages = Sequence[Sequence[tuple[int, Judged]]]
"""For each image its classes, each with what its detections are worth."""


class Proof(StrEnum):
    """What a loss says of a limit."""

    KEPT = "kept"
    BROKEN = "broken"
    OPEN = "open"


def judged_images(truth: Annotations, found: Mapping[int, Detections], max_detections: int = 100) -> JudgedImages:
    """Judge what a model found, image by image.

    Args:
        truth: Images and annotated boxes.
        found: Image id to its detections, for each image of the truth; class ids are positions in `truth.categories`.
        max_detections: The most detections of an image and class that count, best first.

    Returns:
        For each image its classes (position in `truth.categories`) and what their detections are worth.

    Raises:
        KeyError: An image has no entry.
    """
    return [judge_image(truth, image, found[image], max_detections) for image in truth.images]


def paired_loss(reference: JudgedImages, candidate: JudgedImages, *, draws: int = DRAWS, seed: int = 0) -> Loss | None:
    """Compare two models on the same images.

    Args:
        reference: What the better model found, image by image.
        candidate: What the model that is judged found in the same images.
        draws: How often images are drawn.
        seed: Of the draws, so that equal detections give equal intervals.

    Returns:
        The loss; None where nothing is annotated.
    """
    count = len(reference)
    chances = np.full(count, 1 / max(count, 1))
    drawn = np.random.default_rng(seed).multinomial(count, chances, size=draws) if count else np.zeros((draws, 0))
    # The first draw is the set itself.
    weights = np.concatenate([np.ones((1, count)), drawn])
    ours, theirs = (_scores(_tables(images), weights) for images in (candidate, reference))
    drops = theirs - ours
    if np.isnan(drops[0]):
        return None
    drop = float(drops[0])
    low, high = map(float, np.nanquantile(drops[1:], [1 - CONFIDENCE, CONFIDENCE]))
    # Mirrored: of classes with few images a draw is off by as much as the set itself is, and in the same direction.
    return Loss(drop=drop, low=2 * drop - high, high=2 * drop - low, images=count)


def proof(loss: Loss, limit: float) -> Proof:
    """Tell what a loss says of a limit: kept or broken with the confidence, or open.

    Args:
        loss: What was measured.
        limit: The largest loss that is allowed, AP 0..1.
    """
    if loss.high <= limit + _ROUNDING:
        return Proof.KEPT
    return Proof.BROKEN if loss.low > limit + _ROUNDING else Proof.OPEN


def images_needed(loss: Loss, limit: float) -> int | None:
    """Estimate how many images would decide an open question, if the loss stays what it is.

    The spread falls with the square root of the number of images.

    Args:
        loss: What was measured, on the images that there are.
        limit: The largest loss that is allowed, AP 0..1.

    Returns:
        The number, rounded up to two digits; None where the loss lies on the limit, or so near that nobody has as many.
    """
    margin = limit - loss.drop
    spread = loss.high - loss.drop if margin > 0 else loss.drop - loss.low
    if abs(margin) < _ROUNDING:
        return None
    needed = loss.images * max(1.0, (spread / margin) ** 2)
    if needed > _MOST_IMAGES:
        return None
    step = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
    return math.ceil(needed / step) * step


class _Table(NamedTuple):
    """All detections of one class, best first.

    Attributes:
        image: Which image each is of, intp [D].
        outcome: int8 [thresholds, D].
        objects: Objects of each image, int64 [images].
    """

    image: NDArray[np.intp]
    outcome: NDArray[np.int8]
    objects: NDArray[np.int64]


def _tables(images: JudgedImages) -> list[_Table]:
    """One for each class that has objects."""
    judged: dict[int, list[tuple[int, Judged]]] = {}
    for place, classes in enumerate(images):
        for position, one in classes:
            judged.setdefault(position, []).append((place, one))
    tables = []
    for _, parts in sorted(judged.items()):
        objects = np.zeros(len(images), dtype=np.int64)
        objects[[place for place, _ in parts]] = [one.objects for _, one in parts]
        if not objects.any():
            continue
        order = np.argsort(-np.concatenate([one.scores for _, one in parts]), kind="stable")
        of_image = np.repeat(np.array([place for place, _ in parts]), [len(one.scores) for _, one in parts])
        outcome = np.concatenate([one.outcome for _, one in parts], axis=1)
        tables.append(_Table(of_image[order], outcome[:, order], objects))
    return tables


def _scores(tables: list[_Table], weights: Floats) -> Floats:
    """AP of each draw, float64 [draws]; NaN where none of its images has an object.

    Args:
        tables: The classes.
        weights: How often each image is drawn, float64 [draws, images].
    """
    total, classes = np.zeros(len(weights)), np.zeros(len(weights))
    for table in tables:
        precision, known = _precision(table, weights)
        total += np.where(known, precision, 0)
        classes += known
    with np.errstate(invalid="ignore"):
        return np.asarray(total / classes)


def _precision(table: _Table, weights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean precision of one class over thresholds and recalls, float64 [draws], and which draws have objects of it.

    An image that is drawn twice brings each of its detections twice, one behind the other: the weight is added at once,
    because the best precision from there on, which is all that counts, is the same (but where detections of one image
    and class have the very same score). And that best precision is reached at a hit, so that only the hits are looked
    at: how many hits and misses came up to each is a sum over images, a matrix product for all draws.
    """
    objects = weights @ table.objects
    wanted = _hits_for_recalls(objects)
    sums = np.zeros(len(weights))
    for outcome in table.outcome:
        columns = np.flatnonzero(outcome == HIT)
        if not columns.size:
            continue
        missed = np.flatnonzero(outcome == MISSED)
        hits = _up_to_each(weights, table.image[columns], np.arange(columns.size), columns.size)
        misses = _up_to_each(weights, table.image[missed], np.searchsorted(columns, missed), columns.size)
        for start in range(0, len(weights), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            precision = hits[rows] / (hits[rows] + misses[rows] + np.spacing(1))
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            # Beyond the last hit a recall is not reached, and its precision 0.
            reached = np.append(best, np.zeros((len(best), 1)), axis=1)
            sums[rows] += np.take_along_axis(reached, _places(hits[rows], wanted[rows]), axis=1).sum(axis=1)
    return sums / (len(IOU_THRESHOLDS) * len(RECALLS)), objects > 0


def _up_to_each(weights: Floats, image: NDArray[np.intp], column: NDArray[np.intp], columns: int) -> Floats:
    """How many of some detections each draw has up to each hit, float64 [draws, hits].

    Args:
        weights: How often each image is drawn, float64 [draws, images].
        image: Which image each detection is of, intp [D].
        column: The first hit that each does not come behind, intp [D]; the number of hits where it comes behind all.
        columns: How many hits there are.
    """
    images = weights.shape[1]
    result = np.empty((len(weights), columns))
    before = np.zeros((images, 1))
    for start in range(0, columns, _COLUMNS):
        width = min(_COLUMNS, columns - start)
        here = (column >= start) & (column < start + width)
        counts = np.zeros((images, width))
        np.add.at(counts, (image[here], column[here] - start), 1)
        counts = before + np.cumsum(counts, axis=1)
        result[:, start : start + width] = weights @ counts
        before = counts[:, -1:]
    return result


def _places(hits: Floats, wanted: Floats) -> NDArray[np.intp]:
    """The first place of each row that holds what is wanted or more: intp [draws, recalls], [draws, hits] rising."""
    # One rising row of all, so that one search finds every place.
    rows = np.arange(len(hits))[:, np.newaxis]
    step = max(float(hits.max(initial=0)), float(wanted.max(initial=0))) + 1
    found = np.searchsorted((hits + rows * step).ravel(), (wanted + rows * step).ravel())
    return np.asarray(np.minimum(found.reshape(len(hits), -1) - rows * hits.shape[1], hits.shape[1]))


def _hits_for_recalls(objects: Floats) -> Floats:
    """The least number of hits that reach each recall, as COCO compares them (in floats): [draws, recalls]."""
    some = np.maximum(objects, 1)[:, np.newaxis]
    hits = np.ceil(RECALLS * some)
    hits -= (hits - 1) / some >= RECALLS
    hits += hits / some < RECALLS
    return np.asarray(np.maximum(hits, 0))
