"""What each named protocol keeps of the detections."""

from __future__ import annotations

import numpy as np
import pytest

from artifacts.protocols import PROTOCOLS, Limits, limits
from artifacts.release import PreprocessSpec
from inference.decode import Detections, decode
from inference.protocols import by_protocol

SPEC = PreprocessSpec(width=64, height=64)
SIZE = (64, 64)


def found(*rows: tuple) -> Detections:  # type: ignore[type-arg]
    """Detections: box, score, class."""
    boxes, scores, classes = zip(*rows)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int32))


A, B = (1.9, 2.2, 11.95, 9.9), (-3.7, 4.0, 8.0, 8.5)


def test_coco_keeps_everything_as_it_is_up_to_its_number() -> None:
    all_of_it = found((A, 0.9, 1), (A, 0.8, 2), (B, 0.1, 3))
    kept = by_protocol(limits("coco", top_k=100), all_of_it)
    np.testing.assert_array_equal(kept.boxes_xyxy, all_of_it.boxes_xyxy)
    assert kept.class_ids.tolist() == [1, 2, 3]
    assert len(by_protocol(limits("coco", top_k=2), all_of_it)) == 2


def kept_of(heads: np.ndarray, protocol: Limits) -> Detections:
    """What the protocol keeps of the only image."""
    (one,) = decode(
        heads,
        [SIZE],
        spec=SPEC,
        conf=protocol.score_floor,
        top_k=protocol.top_k,
        one_class_a_cell=PROTOCOLS[protocol.name].one_class_a_cell,
    )
    return by_protocol(protocol, one)


def test_the_vendor_cuts_boxes_off_to_whole_pixels_as_int_does() -> None:
    kept = by_protocol(limits("sophon-demo"), found((A, 0.9, 1), (B, 0.8, 1)))
    # int(left), int(top), int(width), int(height): towards zero, and the width before it is cut.
    assert kept.boxes_xyxy.tolist() == [[1, 2, 11, 9], [-3, 4, 8, 8]]


def test_nothing_found_stays_nothing() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    for name in PROTOCOLS:
        assert len(by_protocol(limits(name, top_k=10), nothing)) == 0


@pytest.mark.parametrize("floor", [0.35, 0.0])
@pytest.mark.parametrize("top_k", [1, 30, 250])
@pytest.mark.parametrize("step", [0.0, 0.5, 4.0])
def test_of_real_heads_it_is_what_a_maximum_over_the_classes_would_give(floor: float, top_k: int, step: float) -> None:
    generator = np.random.default_rng(0)
    heads = generator.normal(-1, 2, (1, 10, 16, 16)).astype(np.float32)
    if step:  # many equal scores, as of an int8 output
        heads = np.round(heads / np.float32(step)) * np.float32(step)
    heads[:, -2:] = generator.random((1, 2, 16, 16))
    heads[:, -4:-2] = generator.uniform(1, 9, (1, 2, 16, 16))
    protocol = limits("sophon-demo", floor, top_k=top_k)
    kept = kept_of(heads, protocol)

    scores = 1 / (1 + np.exp(-heads[0, :-4].astype(np.float64)))
    around = np.pad(scores, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    largest = np.max([around[:, y : y + 16, x : x + 16] for y in range(3) for x in range(3)], axis=0)
    peaks = np.where(scores == largest, scores, -1)
    best, classes = peaks.max(axis=0).ravel(), peaks.argmax(axis=0).ravel()
    # Equal scores by class, then row, then column.
    cells = np.lexsort((classes, -best))[: protocol.top_k]
    cells = cells[best[cells] >= floor]
    np.testing.assert_allclose(kept.scores, best[cells], atol=1e-6)
    assert kept.class_ids.tolist() == classes[cells].tolist()


def test_cells_that_are_peaks_of_all_classes_leave_room_for_the_other_cells() -> None:
    heads = np.full((1, 84, 16, 16), -9, np.float32)
    heads[:, -4:-2], heads[:, -2:] = 4, 0.5
    cells = [(2, 2), (2, 12), (12, 2)]
    y, x = np.mgrid[:16, :16]
    for row, column in cells:
        # A hill, so that more cells around it are high than are looked at first.
        hill = 2.0 - 0.1 * np.maximum(abs(y - row), abs(x - column))
        heads[0, :80] = np.maximum(heads[0, :80], np.where(hill > 1.6, hill, -9))
    heads[0, 7, 12, 12] = 1.0
    protocol = limits("sophon-demo", top_k=4)
    kept = kept_of(heads, protocol)
    assert kept.class_ids.tolist() == [0, 0, 0, 7]


def test_cells_are_told_apart_by_where_they_are_and_not_by_their_boxes() -> None:
    heads = np.full((1, 84, 16, 16), -9, np.float32)
    heads[:, -4:-2], heads[:, -2:] = 4, 0.5
    heads[0, 3, 5, 5], heads[0, 4, 5, 6] = 2, 1
    heads[0, -2, 5, 5], heads[0, -2, 5, 6] = 1.0, 0.0  # so that both have the very same centre
    kept = kept_of(heads, limits("sophon-demo", top_k=2))
    assert kept.class_ids.tolist() == [3, 4]
    np.testing.assert_array_equal(kept.boxes_xyxy[0], kept.boxes_xyxy[1])
