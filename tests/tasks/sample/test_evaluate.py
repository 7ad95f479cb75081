"""Accuracy on scenes is 1 for the truth and falls with what is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tasks.sample.evaluate import SPEC, Predictor, evaluate
from tasks.sample.scenes import render_scene, scene_index
from tasks.sample.targets import draw_targets

SCENES = 6


def _oracle(spoil: Callable[[np.ndarray], np.ndarray]) -> Predictor:
    """Answers with the truth of scene after scene, spoilt."""
    position = iter(range(SCENES))

    def predict(batch: np.ndarray) -> np.ndarray:
        assert batch.shape == (1, 3, SPEC.height, SPEC.width)
        image, objects = render_scene(0, scene_index("evaluation", next(position)))
        height, width = image.shape[:2]
        scale = SPEC.width / max(height, width) / 4
        boxes = np.array([item.bbox_xywh for item in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        cells = boxes * scale + 32 - np.array([width, height, width, height], np.float32) * scale / 2
        classes = [item.category_id - 1 for item in objects]
        heatmap, geometry, _ = draw_targets(cells, classes, num_classes=80, grid=(64, 64))
        return spoil(np.concatenate([np.where(heatmap == 1, np.float32(5), np.float32(-9)), geometry])[None])

    return predict


def _ap(spoil: Callable[[np.ndarray], np.ndarray]) -> float:
    measured = evaluate(_oracle(spoil), count=SCENES, seed=0).ap
    assert measured is not None
    return measured


def test_the_truth_scores_nearly_one() -> None:
    assert _ap(lambda heads: heads) > 0.97


def test_boxes_a_little_too_large_pass_at_loose_overlaps_only() -> None:
    def enlarged(heads: np.ndarray) -> np.ndarray:
        heads[:, 80:82] *= 1.2
        return heads

    measured = evaluate(_oracle(enlarged), count=SCENES, seed=0)
    assert measured.ap50 is not None
    assert measured.ap50 > 0.97
    assert measured.ap75 is not None
    assert measured.ap75 < 0.1


@pytest.mark.parametrize("level", [-20.0, 0.0])
def test_a_heatmap_without_peaks_scores_next_to_nothing(level: float) -> None:
    def blank(heads: np.ndarray) -> np.ndarray:
        heads[:, :80] = level
        return heads

    assert _ap(blank) < 0.01


def test_detections_of_unused_classes_do_not_count() -> None:
    def elsewhere(heads: np.ndarray) -> np.ndarray:
        heads[:, 8:16] = heads[:, :8]
        return heads

    assert _ap(elsewhere) > 0.97
