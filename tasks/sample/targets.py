"""What CenterNet is trained towards, and its loss.

Source: Zhou, Wang, Krähenbühl, "Objects as Points", 2019, arXiv 1904.07850, section 3; the radius is from Law and Deng,
"CornerNet", 2018, arXiv 1808.01244, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from artifacts.release import PreprocessSpec
from inference.preprocess import affine_to_input, preprocess
from tasks.network.dla import OUTPUT_STRIDE

MIN_OVERLAP = 0.7
WH_WEIGHT = 0.1
REG_WEIGHT = 1.0

Item = tuple[NDArray[np.float32], ...]


def gaussian_radius(height: float, width: float, min_overlap: float = MIN_OVERLAP) -> float:
    """Largest shift of a box's corners that still overlaps the box itself.

    Args:
        height: of the box, in cells.
        width: of the box, in cells.
        min_overlap: intersection over union that must remain.

    Returns:
        Radius in cells: the smallest for both corners inside, both outside, and one of each.
    """
    perimeter, area = height + width, height * width
    one_of_each = (perimeter - math.sqrt(perimeter**2 - 4 * area * (1 - min_overlap) / (1 + min_overlap))) / 2
    inside = (perimeter - math.sqrt(perimeter**2 - 4 * area * (1 - min_overlap))) / 4
    outside = (-perimeter + math.sqrt(perimeter**2 + 4 * area * (1 / min_overlap - 1))) / 4
    return min(one_of_each, inside, outside)


def draw_targets(
    boxes_xyxy: NDArray[np.float32], class_ids: Sequence[int], *, num_classes: int, grid: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Draws the training targets of one image.

    The sizes and offsets are given for the 3 x 3 cells about each centre, not for the centre's cell alone: the box
    stays right when the peak of the heatmap falls one cell beside, which rounding to 8 bits makes more frequent.

    Args:
        boxes_xyxy: float32 [M, 4], left, top, right, bottom, in cells.
        class_ids: M classes from 0.
        num_classes: heatmap channels.
        grid: height and width of the output, in cells.

    Returns:
        Heatmap float32 [num_classes, h, w] with a peak of 1 at each centre; sizes and offsets float32 [4, h, w]:
        width, height, x, y; mask float32 [h, w], 1 where those four are meant.
    """
    rows, columns = grid
    heatmap = np.zeros((num_classes, rows, columns), np.float32)
    geometry = np.zeros((4, rows, columns), np.float32)
    mask = np.zeros((rows, columns), np.float32)
    nearest = np.full((rows, columns), np.inf, np.float32)
    grid_y, grid_x = np.mgrid[:rows, :columns].astype(np.float32)
    for (left, top, right, bottom), class_id in zip(boxes_xyxy, class_ids, strict=True):
        width, height = float(right - left), float(bottom - top)
        x, y = float(left + right) / 2, float(top + bottom) / 2
        column, row = min(int(x), columns - 1), min(int(y), rows - 1)
        sigma = (2 * max(0, int(gaussian_radius(math.ceil(height), math.ceil(width)))) + 1) / 6
        distance = (grid_x - column) ** 2 + (grid_y - row) ** 2
        np.maximum(heatmap[class_id], np.exp(-distance / (2 * sigma**2)), out=heatmap[class_id])
        near = (np.abs(grid_x - column) <= 1) & (np.abs(grid_y - row) <= 1) & (distance < nearest)
        nearest[near] = distance[near]
        geometry[:2, near] = [[width], [height]]
        geometry[2, near], geometry[3, near] = x - grid_x[near], y - grid_y[near]
        mask[near] = 1
    return heatmap, geometry, mask


def training_item(
    image: NDArray[np.uint8], boxes_xywh: NDArray[np.float64], class_ids: Sequence[int], *, classes: int, side: int
) -> Item:
    """Letterboxes an image and draws its targets.

    Args:
        image: uint8 [H, W, 3], BGR.
        boxes_xywh: float64 [M, 4], left, top, width, height, in pixels of the image.
        class_ids: M classes from 0.
        classes: heatmap channels C.
        side: input height and width in pixels, a multiple of 32.

    Returns:
        Input tensor float32 [3, side, side]; heatmap float32 [C, side / 4, side / 4], geometry float32
        [4, side / 4, side / 4] and mask float32 [side / 4, side / 4], see `draw_targets`.
    """
    spec = PreprocessSpec(width=side, height=side)
    affine = affine_to_input((image.shape[0], image.shape[1]), spec) / OUTPUT_STRIDE
    corners = np.stack([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)
    cells = (corners * np.diag(affine[:, :2]) + affine[:, 2]).reshape(-1, 4).astype(np.float32)
    grid = (side // OUTPUT_STRIDE, side // OUTPUT_STRIDE)
    return (preprocess(image, spec), *draw_targets(cells, class_ids, num_classes=classes, grid=grid))


def centernet_loss(
    heads: Tensor, heatmap: Tensor, geometry: Tensor, mask: Tensor, *, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """CenterNet's three losses, weighted as published.

    Channels beyond those of the heatmap belong to classes that never occur; one cell in sixteen stands for all of
    theirs, which costs a sixteenth of the time and tells them to stay silent just as well.

    Args:
        heads: head tensor, float32 [N, num_classes + 4, h, w].
        heatmap: float32 [N, C, h, w] with C <= num_classes, see `draw_targets`.
        geometry: float32 [N, 4, h, w].
        mask: float32 [N, h, w].
        num_classes: heatmap channels of the head tensor.

    Returns:
        Penalty-reduced focal loss of the heatmap (equation 1), 0.1 times the L1 loss of the sizes, and the L1 loss of
        the offsets (equations 2 and 3); their sum is minimised.
    """
    used = heatmap.shape[1]
    logits, silent = heads[:, :used], heads[:, used:num_classes, 1::4, 1::4]
    peaks = heatmap.eq(1).float()
    score = torch.sigmoid(logits)
    positive = functional.logsigmoid(logits) * (1 - score) ** 2 * peaks
    negative = functional.logsigmoid(-logits) * score**2 * (1 - heatmap) ** 4
    unused = functional.logsigmoid(-silent) * torch.sigmoid(silent) ** 2
    focal = -(positive.sum() + negative.sum() + 16 * unused.sum()) / peaks.sum().clamp(min=1)
    error = (heads[:, num_classes:] - geometry).abs() * mask[:, None]
    meant = mask.sum().clamp(min=1)
    return focal, WH_WEIGHT * error[:, :2].sum() / meant, REG_WEIGHT * error[:, 2:].sum() / meant
