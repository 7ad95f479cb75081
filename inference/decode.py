"""From the head tensor to detections in source pixels, as CenterNet does it.

The result is that of ``ctdet_decode`` (src/lib/models/decode.py) and ``ctdet_post_process``
(src/lib/utils/post_process.py) of xingyizhou/CenterNet, reached by another road: the sigmoid is
monotone, so that everything is selected on logits and only the few locations that can still win
are ever looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from artifacts.release import PreprocessSpec
from inference.errors import ModelError, OptionError
from inference.preprocess import affine_from_output, output_size

REGRESSION_CHANNELS = 4
"""Channels after the heatmaps: box width and height, then centre offset x and y, in output cells."""

CENTERNET_SPEC = PreprocessSpec()

_OVERSAMPLING = 8
"""Locations looked at first for each detection wanted; a blob covers several locations."""

_GROWTH = 4
"""How many times more are looked at when those held too few peaks."""

_ROWS = 8
"""Heatmaps that are looked through at a time: 512 kB at 128 x 128 cells."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one image, best first.

    Attributes:
        boxes_xyxy: float32 [M, 4], left, top, right, bottom in pixels of the source image; not
            clipped to the image.
        scores: float32 [M] in 0..1, falling.
        class_ids: int32 [M], 0-based.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes_xyxy.shape != (count, 4) or self.scores.shape != (count,) or self.class_ids.shape != (count,):
            raise OptionError(
                "boxes, scores and class ids disagree: shapes "
                f"{self.boxes_xyxy.shape}, {self.scores.shape}, {self.class_ids.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)


class _Wish(NamedTuple):
    """Which peaks are kept, as `decode` has it."""

    conf: float
    top_k: int
    one_class_a_cell: bool


def decode(
    heads: np.ndarray,
    image_sizes: Sequence[Tuple[int, int]],
    *,
    spec: PreprocessSpec = CENTERNET_SPEC,
    conf: float = 0.35,
    top_k: int = 100,
    one_class_a_cell: bool = False,
    affines: Optional[Sequence[np.ndarray]] = None,
) -> List[Detections]:
    """Turn the network's output into detections.

    A location is a detection of a class when its score is the largest of its 3 x 3 neighbourhood
    in that class's heatmap (ties included) and is at least ``conf``. No other suppression takes
    place. The original fills up to K with suppressed locations of score 0; they are left out here.

    Scores are the float32 sigmoid, rounded as the original's float32 arithmetic rounds it, and
    peaks are decided on those scores: where it saturates (logits above about 9), neighbours with
    different logits can share one score, and all of them are peaks, as in the original.

    Args:
        heads: float32 [N, C + 4, h, w]: heatmap logits of C classes, box width and height, centre
            offset x and y; sizes and offsets in output cells.
        image_sizes: (height, width) in pixels of each of the N source images.
        spec: How the images became the network's input.
        conf: Lowest score that is kept (inclusive).
        top_k: Most detections for one image, over all its classes together.
        one_class_a_cell: Whether of the detections of one cell only the best is kept, before ``top_k`` are counted; of
            equal scores the lowest class.
        affines: For each image, the map from output cells to its pixels, float64 [2, 3]; None takes that of the host's
            letterbox (`inference.preprocess.affine_from_output`).

    Returns:
        One ``Detections`` for each image. Equal scores are ordered by class, then row, then column.

    Raises:
        OptionError: ``conf`` is outside 0..1, ``top_k`` is below 1, or the number of image sizes or
            affines is not N.
        ModelError: The tensor has another dtype or shape than the spec asks for, or holds NaN or
            infinities.
    """
    _check_arguments(heads, image_sizes, spec, conf, top_k)
    heads = np.ascontiguousarray(heads)
    if affines is None:
        affines = [affine_from_output(size, spec) for size in image_sizes]
    elif len(affines) != len(heads):
        raise OptionError(f"{len(heads)} images were decoded but {len(affines)} affines given")
    wish = _Wish(conf, top_k, one_class_a_cell)
    return [_decode_one(heads[n], n, affine, wish) for n, affine in enumerate(affines)]


def _check_arguments(
    heads: np.ndarray, image_sizes: Sequence[Tuple[int, int]], spec: PreprocessSpec, conf: float, top_k: int
) -> None:
    if not 0.0 <= conf <= 1.0:
        raise OptionError(f"conf is {conf}: a score threshold lies between 0 and 1")
    if top_k < 1:
        raise OptionError(f"top_k is {top_k}: at least 1 detection has to be allowed")
    wanted = output_size(spec)
    if heads.dtype != np.float32:
        raise ModelError(f"the head tensor is {heads.dtype}, expected float32; scale integer outputs before decoding")
    if heads.ndim != 4 or heads.shape[1] <= REGRESSION_CHANNELS or heads.shape[2:] != wanted:
        raise ModelError(
            f"the head tensor is {list(heads.shape)}, expected [N, classes + {REGRESSION_CHANNELS}, {wanted[0]}, "
            f"{wanted[1]}] for a {spec.width} x {spec.height} (width x height) input: the model and the preprocess "
            "spec do not belong together"
        )
    if len(image_sizes) != heads.shape[0]:
        raise OptionError(f"{heads.shape[0]} images were decoded but {len(image_sizes)} image sizes given")


def _decode_one(heads: np.ndarray, index: int, affine: np.ndarray, wish: _Wish) -> Detections:
    classes = heads.shape[0] - REGRESSION_CHANNELS
    height, width = heads.shape[1:]
    cells = height * width
    flat = heads.reshape(-1)
    best_logits = _best_logits(flat[: classes * cells].reshape(classes, cells))
    regression = flat[classes * cells :].reshape(REGRESSION_CHANNELS, cells)
    _check_finite(best_logits, regression, heads, index)

    locations, scores = _top_peaks(flat[: classes * cells], best_logits, width, wish)
    class_ids, positions = np.divmod(locations, cells)
    rows, columns = np.divmod(positions, width)
    box_width, box_height, offset_x, offset_y = regression[:, positions]
    x = columns.astype(np.float32) + offset_x
    y = rows.astype(np.float32) + offset_y
    half_width, half_height = box_width / np.float32(2), box_height / np.float32(2)
    corners = np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)
    # In float64 and rounded once, like the original's transform_preds.
    boxes = corners.reshape(-1, 2).astype(np.float64) @ affine[:, :2].T + affine[:, 2]
    return Detections(boxes.reshape(-1, 4).astype(np.float32), scores, class_ids.astype(np.int32))


def _best_logits(heatmaps: np.ndarray) -> np.ndarray:
    """The largest logit of each location over all classes, [cells] of [classes, cells]; NaN where one is NaN."""
    # Two stretches of memory that lie apart arrive sooner than one that is read through, and so few rows at a time stay
    # in a core's cache. Where the number of classes is odd, the middle one is in both halves, and changes nothing.
    half = -(-len(heatmaps) // 2)
    first, second = heatmaps[:half], heatmaps[-half:]
    best = np.full(heatmaps.shape[1], -np.inf, dtype=np.float32)
    for row in range(0, half, _ROWS):
        larger = np.maximum(first[row : row + _ROWS], second[row : row + _ROWS])
        np.maximum(best, larger.max(axis=0), out=best)
    return best


def _check_finite(best_logits: np.ndarray, regression: np.ndarray, heads: np.ndarray, index: int) -> None:
    """Refuse NaN and infinities; a maximum passes NaN on, so that the heatmaps need no pass of their own."""
    # A logit of -inf says that a class is impossible, and never becomes a detection.
    if (best_logits < np.inf).all() and np.isfinite(regression).all():
        return
    bad = ~np.isfinite(heads)
    bad[:-REGRESSION_CHANNELS] &= ~np.isneginf(heads[:-REGRESSION_CHANNELS])
    channel, row, column = (int(i) for i in np.argwhere(bad)[0])
    raise ModelError(
        f"image {index} of the batch: {np.count_nonzero(bad)} values of the head tensor are no finite numbers, the "
        f"first at channel {channel}, row {row}, column {column} ({heads[channel, row, column]}). The model or its "
        "engine is broken, or was fed NaN: look at the input and at the model's validation record"
    )


def _top_peaks(logits: np.ndarray, best_logits: np.ndarray, width: int, wish: _Wish) -> Tuple[np.ndarray, np.ndarray]:
    """Find the best peaks: flat indices int64 [M] into ``logits`` and scores float32 [M], best first."""
    floor = _logit_below(wish.conf)
    wanted = _OVERSAMPLING * wish.top_k
    while True:
        threshold = _threshold(best_logits, floor, wanted)
        locations, scores = _peaks_from(logits, best_logits, width, threshold)
        # A peak below the threshold scores at most what the threshold scores. So no more than these have to be found,
        # and with them all peaks of their cells that may be the cell's best.
        beyond = locations[scores > _sigmoid(np.asarray(threshold, np.float32))]
        found = np.unique(beyond % best_logits.size).size if wish.one_class_a_cell else beyond.size
        if threshold == floor or found >= wish.top_k:
            break
        wanted *= _GROWTH
    # Stable on locations that ascend by class, row, column: equal scores keep that order.
    order = np.argsort(-scores, kind="stable")
    if wish.one_class_a_cell:
        _, first = np.unique(locations[order] % best_logits.size, return_index=True)
        order = order[np.sort(first)]
    order = order[: wish.top_k]
    order = order[scores[order] >= np.float32(wish.conf)]
    return locations[order], scores[order]


def _threshold(best_logits: np.ndarray, floor: float, wanted: int) -> float:
    """The logit that at least ``wanted`` locations reach, but never less than ``floor``."""
    if np.count_nonzero(best_logits >= np.float32(floor)) <= wanted:
        return floor
    rank = best_logits.size - wanted
    return max(floor, float(np.partition(best_logits, rank)[rank]))


def _peaks_from(
    logits: np.ndarray, best_logits: np.ndarray, width: int, threshold: float
) -> Tuple[np.ndarray, np.ndarray]:
    """All peaks whose logit reaches the threshold: ascending flat indices int64 [M], scores float32 [M]."""
    cells = best_logits.size
    positions = np.flatnonzero(best_logits >= np.float32(threshold))
    columns = np.take(logits.reshape(-1, cells), positions, axis=1)
    class_ids, picked = np.divmod(np.flatnonzero(columns >= np.float32(threshold)), max(positions.size, 1))
    locations = class_ids * cells + positions[picked]
    scores = _sigmoid(logits[locations])
    is_peak = scores >= _sigmoid(_neighbourhood_max(logits, locations, positions[picked], width, cells))
    return locations[is_peak], scores[is_peak]


def _neighbourhood_max(
    logits: np.ndarray, locations: np.ndarray, positions: np.ndarray, width: int, cells: int
) -> np.ndarray:
    """The largest logit of the 3 x 3 cells around each location, of the same class: float32 [M]."""
    columns = positions % width
    # At an edge the step is 0: it meets a cell of the same neighbourhood again, which changes no maximum.
    steps_x = (-(columns > 0).astype(np.int64), 0, (columns < width - 1).astype(np.int64))
    steps_y = (-width * (positions >= width), 0, width * (positions < cells - width))
    largest = np.take(logits, locations)
    for step_y in steps_y:
        for step_x in steps_x:
            np.maximum(largest, logits[locations + step_y + step_x], out=largest)
    return largest


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """The logistic function in float32: monotone, and rounded step by step as the original rounds it.

    The exponential is taken in float64 first, so that boards and hosts agree whatever their
    library's float32 exponential is.
    """
    with np.errstate(over="ignore"):
        exponential = np.exp(-logits.astype(np.float64)).astype(np.float32)
    return np.asarray(np.float32(1) / (np.float32(1) + exponential), dtype=np.float32)


def _logit_below(conf: float) -> float:
    """A logit that is surely below every logit whose float32 score reaches ``conf``."""
    if conf <= 0.0:
        return -math.inf
    # Close to 1 the float32 score is coarse; there a lower bound that is far enough away does.
    clear = min(conf, 1.0 - 1e-6)
    return math.log(clear / (1.0 - clear)) - 1e-3 * (1.0 + abs(math.log(clear)))
