from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.distance import HeadDistances, head_distances

FLOATS = st.floats(-1e6, 1e6, width=32)


def heads(seed: int, images: int = 2) -> np.ndarray:
    tensor = np.random.default_rng(seed).normal(size=(images, 84, 6, 5)).astype(np.float32)
    tensor[:, -4:-2] *= 50
    tensor[:, -2:] *= 1e-3
    return tensor


def test_equal_tensors_have_no_distance() -> None:
    for distance in head_distances(heads(0), heads(0)).values():
        assert distance.cosine == pytest.approx(1)
        assert (distance.snr_db, distance.max_abs) == (200, 0)


@pytest.mark.parametrize(
    ("head", "channels"), [("heatmap", range(80)), ("size", range(80, 82)), ("offset", range(82, 84))]
)
def test_a_dead_head_shows_in_that_head_alone(head: str, channels: range) -> None:
    dead = heads(0)
    dead[:, list(channels)] = 0
    distances = head_distances(heads(0), dead)
    assert distances[head].cosine == 0
    assert distances[head].snr_db == pytest.approx(0)
    assert all(distance.snr_db == 200 for name, distance in distances.items() if name != head)


def test_figures_are_those_of_their_definitions() -> None:
    reference, candidate = np.zeros((1, 5, 1, 2)), np.zeros((1, 5, 1, 2))
    reference[0, 0, 0] = (3, 4)
    candidate[0, 0, 0] = (4, 3)
    heatmap = head_distances(reference, candidate)["heatmap"]
    assert heatmap.cosine == pytest.approx(24 / 25)
    assert heatmap.snr_db == pytest.approx(10 * np.log10(25 / 2))
    assert heatmap.max_abs == 1


def test_zeros_are_like_zeros_and_unlike_anything_else() -> None:
    zero, one = np.zeros((1, 6, 2, 2), np.float32), np.ones((1, 6, 2, 2), np.float32)
    assert {(d.cosine, d.snr_db) for d in head_distances(zero, zero).values()} == {(1.0, 200.0)}
    assert {(d.cosine, d.snr_db) for d in head_distances(zero, one).values()} == {(0.0, -200.0)}
    assert {(d.cosine, d.snr_db) for d in head_distances(one, zero).values()} == {(0.0, 0.0)}


def test_images_one_by_one_give_what_all_together_give() -> None:
    reference, candidate = heads(1, images=7), heads(2, images=7)
    accumulator = HeadDistances()
    for start, end in ((0, 1), (1, 4), (4, 7)):
        accumulator.add(reference[start:end], candidate[start:end])
    assert accumulator.images == 7
    together = head_distances(reference, candidate)
    for head, distance in accumulator.distances().items():
        assert distance.model_dump() == pytest.approx(together[head].model_dump())


@settings(deadline=None)
@given(hnp.arrays(np.float32, (1, 6, 2, 2), elements=FLOATS), hnp.arrays(np.float32, (1, 6, 2, 2), elements=FLOATS))
def test_any_two_tensors_have_a_bounded_distance_that_is_the_same_both_ways(a: np.ndarray, b: np.ndarray) -> None:
    there, back = head_distances(a, b), head_distances(b, a)
    for head, distance in there.items():
        assert -1 <= distance.cosine <= 1
        assert -200 <= distance.snr_db <= 200
        assert (distance.cosine, distance.max_abs) == (back[head].cosine, back[head].max_abs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_is_refused_and_not_taken_in(value: float, side: int) -> None:
    bad = [heads(0), heads(0)]
    bad[side][1, 83, 5, 4] = value
    accumulator = HeadDistances()
    with pytest.raises(ValueError, match=r"1 of 5040 values of the (reference|candidate)"):
        accumulator.add(*bad)
    with pytest.raises(ValueError, match="no images"):
        accumulator.distances()


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (np.zeros((1, 84, 2, 2)), np.zeros((1, 84, 2, 3))),
        (np.zeros((1, 84, 2, 2)), np.zeros((1, 83, 2, 2))),
        (np.zeros((84, 2, 2)), np.zeros((84, 2, 2))),
        (np.zeros((1, 4, 2, 2)), np.zeros((1, 4, 2, 2))),
        (np.zeros((1, 84, 2, 2)), np.zeros((1, 84, 2, 2), np.int8)),
    ],
    ids=["width", "channels", "no batch", "no classes", "int8"],
)
def test_what_cannot_be_compared_is_refused(reference: np.ndarray, candidate: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"head tensor|dequantise"):
        head_distances(reference, candidate)
