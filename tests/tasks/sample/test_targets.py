"""The targets decode back to the boxes they were drawn from, and the loss is the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts.release import PreprocessSpec
from inference.decode import decode
from tasks.sample.scenes import SHAPES, SceneObject, render_scene
from tasks.sample.targets import centernet_loss, draw_targets, gaussian_radius
from tasks.sample.train import scene_item

SIZES = st.floats(1, 100)


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    high = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return wide * high / (sum(areas) - wide * high)


@given(SIZES, SIZES)
def test_corners_within_the_radius_keep_the_overlap_and_one_case_uses_it_up(height: float, width: float) -> None:
    radius = gaussian_radius(height, width, 0.7)
    box = (0.0, 0.0, width, height)
    cases = [
        _overlap(box, (radius, radius, width + radius, height + radius)),
        _overlap(box, (radius, radius, width - radius, height - radius)),
        _overlap(box, (-radius, -radius, width + radius, height + radius)),
    ]
    assert min(cases) == pytest.approx(0.7, abs=1e-6)


def test_a_centre_is_one_in_its_own_class_and_falls_off_around_it() -> None:
    heatmap, _, mask = draw_targets(np.array([[4, 4, 14.5, 12.5]], np.float32), [2], num_classes=3, grid=(16, 24))
    assert heatmap.shape == (3, 16, 24)
    assert heatmap[2, 8, 9] == 1
    assert np.count_nonzero(heatmap == 1) == 1
    assert 0 < heatmap[2, 8, 10] < 1
    assert not heatmap[:2].any()
    assert mask.sum() == 9


@pytest.mark.parametrize("centre", [(0.2, 0.2), (23.9, 15.9), (24.0, 16.0)])
def test_a_centre_at_the_very_edge_stays_on_the_grid(centre: tuple[float, float]) -> None:
    x, y = centre
    heatmap, _, mask = draw_targets(
        np.array([[x - 2, y - 2, x + 2, y + 2]], np.float32), [0], num_classes=1, grid=(16, 24)
    )
    assert np.count_nonzero(heatmap == 1) == 1
    assert mask.sum() == 4


def test_where_two_boxes_meet_the_nearer_centre_decides() -> None:
    boxes = np.array([[2, 2, 6, 6], [2, 2, 8, 6]], np.float32)
    for order in ([0, 1], [1, 0]):
        _, geometry, _ = draw_targets(boxes[order], [0, 0], num_classes=1, grid=(12, 12))
        assert geometry[0, 4, 3:7].tolist() == [4, 4, 6, 6]


@settings(max_examples=15, deadline=None)
@example(position=2524, side=160, right=0, down=0)  # two centres two cells apart
@given(st.integers(0, 10_000), st.sampled_from([160, 256]), st.integers(-1, 1), st.integers(-1, 1))
def test_targets_decode_to_the_boxes_of_the_scene_even_one_cell_beside_the_centre(
    position: int, side: int, right: int, down: int
) -> None:
    image, objects = render_scene(0, position)
    _, heatmap, geometry, _ = scene_item(0, position, side)
    moved = np.roll(heatmap, (down, right), axis=(1, 2))
    logits = np.where(moved == 1, np.float32(4), np.float32(-4))
    heads = np.concatenate([logits, geometry])[None]
    spec = PreprocessSpec(width=side, height=side)
    (found,) = decode(heads, [(image.shape[0], image.shape[1])], spec=spec, conf=0.5)
    boxes = list(zip(found.class_ids.tolist(), found.boxes_xyxy.tolist(), strict=True))
    if len(boxes) != len(objects):  # two centres of one class within a cell or two of each other, or moved off the grid
        return
    # Where centres are near, a cell beside one may be nearer to the other, and holds the other's size.
    for item in (one for one in objects if not _crowded(one, objects)):
        left, top, wide, high = item.bbox_xywh
        truth = (left, top, left + wide, top + high)
        assert max(_overlap(truth, box) for class_id, box in boxes if class_id == item.category_id - 1) > 0.999


def _crowded(item: SceneObject, objects: list[SceneObject]) -> bool:
    def centre(other: SceneObject) -> np.ndarray:
        left, top, wide, high = other.bbox_xywh
        return np.array([left + wide / 2, top + high / 2])

    return any(other is not item and np.abs(centre(other) - centre(item)).max() < 30 for other in objects)


def _example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    boxes = np.array([[4, 4, 14.5, 12.5], [10, 2, 20, 10]], np.float32)
    parts = draw_targets(boxes, [0, 1], num_classes=2, grid=(16, 24))
    heatmap, geometry, mask = (torch.from_numpy(part)[None] for part in parts)
    return heatmap, geometry, mask


def test_a_right_answer_costs_nothing_and_a_silent_one_costs_a_lot() -> None:
    heatmap, geometry, mask = _example()
    right = torch.cat([torch.where(heatmap == 1, 20.0, -20.0), torch.full((1, 3, 16, 24), -20.0), geometry], 1)
    assert sum(centernet_loss(right, heatmap, geometry, mask, num_classes=5)) < 1e-5
    silent = torch.cat([torch.full((1, 5, 16, 24), -20.0), torch.zeros(1, 4, 16, 24)], 1)
    focal, size, offset = centernet_loss(silent, heatmap, geometry, mask, num_classes=5)
    assert focal == pytest.approx(20, rel=1e-3)
    assert size == pytest.approx(0.1 * float((geometry[:, :2] * mask).sum() / mask.sum()))
    assert offset == pytest.approx(float((geometry[:, 2:].abs() * mask).sum() / mask.sum()))


def test_the_focal_loss_is_equation_one_of_the_paper() -> None:
    boxes = np.array([[0, 0, 23, 15], [4, 1, 24, 16]], np.float32)
    parts = draw_targets(boxes, [0, 1], num_classes=2, grid=(16, 24))
    heatmap, geometry, mask = (torch.from_numpy(part)[None] for part in parts)
    heads = torch.randn(1, 6, 16, 24, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for score, truth in zip(torch.sigmoid(heads[:, :2]).flatten().tolist(), heatmap.flatten().tolist(), strict=True):
        if truth == 1:
            expected -= (1 - score) ** 2 * np.log(score)
        else:
            expected -= (1 - truth) ** 4 * score**2 * np.log(1 - score)
    assert float(centernet_loss(heads, heatmap, geometry, mask, num_classes=2)[0]) == pytest.approx(
        expected / 2, rel=1e-4
    )


def test_classes_that_never_occur_are_told_to_stay_silent() -> None:
    heatmap, geometry, mask = _example()
    heads = torch.zeros(1, 84, 16, 24, requires_grad=True)
    torch.autograd.backward(centernet_loss(heads, heatmap, geometry, mask, num_classes=80)[0])
    assert heads.grad is not None
    pushed = heads.grad[0, 2:80].sum(dim=(1, 2))
    assert len(SHAPES) < 80
    assert torch.all(pushed > 0)
