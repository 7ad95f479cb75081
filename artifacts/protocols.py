"""The named protocols by which accuracy is measured; numbers of two of them are never compared.

``coco`` keeps what CenterNet's own evaluation keeps: the best 100 detections of an image over all classes together. It
is what COCO's metric (cocodataset.org, "Detection evaluation") is meant for.

``sophon-demo`` is how the vendor states the accuracy of its own models (README of sophgo/sophon-demo, sample/CenterNet,
and its python/postprocess_numpy.py, at c7c94bb): of each cell only its best class, the best 75 cells, and boxes whose
left, top, width and height are cut off to whole pixels. All of that costs AP. There is no floor: the tables were made
with ``--conf_thresh 0.35``, but all four programs, Python and C++, draw by it only and write every cell.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional

from artifacts.variant import Record


class Rules(NamedTuple):
    """What a protocol asks of the detections.

    Attributes:
        score_floor: Detections below this score are left out, where nothing else is asked for.
        top_k: Detections kept for an image, likewise.
        one_class_a_cell: Whether a cell of the head tensor counts for its best class only.
        whole_pixels: Whether boxes are cut off to whole pixels.
    """

    score_floor: float
    top_k: int
    one_class_a_cell: bool = False
    whole_pixels: bool = False


PROTOCOLS: Dict[str, Rules] = {
    "coco": Rules(0.001, 100),
    "sophon-demo": Rules(0.0, 75, one_class_a_cell=True, whole_pixels=True),
}


class Limits(Record):
    """A protocol with its numbers, which belong to the key of whatever is measured by it.

    Attributes:
        name: One of `PROTOCOLS`.
        score_floor: Detections below this score are left out.
        top_k: Detections kept for an image.
    """

    name: str
    score_floor: float
    top_k: int


def limits(name: str, score_floor: Optional[float] = None, top_k: Optional[int] = None) -> Limits:
    """Return the limits of a protocol; what is None takes the protocol's own.

    Args:
        name: One of `PROTOCOLS`.
        score_floor: Detections below this score are left out.
        top_k: Detections kept for an image.
    """
    usual = PROTOCOLS[name]
    return Limits(
        name=name,
        score_floor=usual.score_floor if score_floor is None else score_floor,
        top_k=usual.top_k if top_k is None else top_k,
    )
