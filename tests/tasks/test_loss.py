"""The step that measures a loss: the right images, the right classes, and nothing where nothing can be said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.store import Blob
from settings.load import load_settings
from tasks.loss import measure_loss
from tasks.records import ImageSet, Measured
from tests.tasks.results import ANNOTATIONS, INT8, measured, workspace_in

JUDGING = load_settings("sample", environ={}).evaluation.judging


def found(folder: Path, variant: object, *boxes: tuple[list[float], float, int], ap: float | None = 0.5) -> Measured:
    """A rung that found these boxes in the one image: left, top, right, bottom; score; class."""
    content = {
        "a.jpg": {
            "boxes": [box for box, _, _ in boxes],
            "scores": [score for _, score, _ in boxes],
            "classes": [class_id for _, _, class_id in boxes],
        }
    }
    blob = workspace_in(folder).content.put_bytes(json.dumps(content).encode())
    return measured(None, INT8 if variant else None, ap, detections=blob)


def images(folder: Path, annotations: bytes | None = ANNOTATIONS) -> ImageSet:
    content = workspace_in(folder).content
    return ImageSet(images=(), annotations=None if annotations is None else content.put_bytes(annotations))


RIGHT = ([1.0, 1.0, 4.0, 4.0], 0.9, 0)


def test_what_the_reference_finds_and_the_rung_misses_is_lost(tmp_path: Path) -> None:
    reference, rung = found(tmp_path, None, RIGHT), found(tmp_path, INT8)
    result = measure_loss.fn(rung, reference, images(tmp_path), JUDGING, workspace_in(tmp_path))
    assert result.variant == INT8 and result.bounds is not None and result.bounds.images == 1
    assert (result.bounds.low, result.bounds.drop, result.bounds.high) == pytest.approx((1, 1, 1))


def test_a_class_that_is_not_annotated_counts_neither_way(tmp_path: Path) -> None:
    other = ([0.0, 0.0, 9.0, 9.0], 0.99, 79)
    reference, rung = found(tmp_path, None, RIGHT), found(tmp_path, INT8, other, RIGHT)
    result = measure_loss.fn(rung, reference, images(tmp_path), JUDGING, workspace_in(tmp_path))
    assert result.bounds is not None and result.bounds.drop == 0.0


@pytest.mark.parametrize("missing", ["annotations", "reference", "rung"])
def test_where_accuracy_means_nothing_there_are_no_bounds(missing: str, tmp_path: Path) -> None:
    reference = found(tmp_path, None, RIGHT, ap=None if missing == "reference" else 0.5)
    rung = found(tmp_path, INT8, RIGHT, ap=None if missing == "rung" else 0.5)
    given = images(tmp_path, None if missing == "annotations" else ANNOTATIONS)
    assert measure_loss.fn(rung, reference, given, JUDGING, workspace_in(tmp_path)).bounds is None


def test_the_reference_itself_is_no_rung_to_judge(tmp_path: Path) -> None:
    nothing = Blob(digest=digest_bytes(b""), size=0)
    reference = measured(None, None, detections=nothing)
    with pytest.raises(ValueError, match="before the compiler"):
        measure_loss.fn(reference, reference, images(tmp_path), JUDGING, workspace_in(tmp_path))
