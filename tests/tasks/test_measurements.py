"""From what a build found out to the loss ladder that its release carries."""

from __future__ import annotations

from pathlib import Path

from tasks.measurements import measurements
from tests.tasks.results import FP32, INT8, measured, results, workspace_in


def test_every_rung_is_there_the_reference_without_distances(tmp_path: Path) -> None:
    ladder = measurements(results(workspace_in(tmp_path))).rungs
    assert [rung.name for rung in ladder] == ["PyTorch", "TorchScript", "BM1688 fp32", "BM1688 int8"]
    assert [len(rung.distances) for rung in ladder] == [3, 0, 3, 3]
    int8 = ladder[-1]
    assert (int8.chip, int8.precision, int8.distances["offset"].cosine) == ("BM1688", "int8", 0.98765)
    assert int8.figures and int8.figures.ap == 0.59 and int8.figures.by_class == {"circle": 0.59, "square": None}
    assert int8.figures.by_size == {"small": 0.59, "medium": None, "large": None}


def test_what_the_simulator_gave_is_there_for_each_bmodel_that_it_ran(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    ladder = measurements(found.model_copy(update={"simulated": found.simulated[::-1]}))
    assert [(one.variant, one.identical, one.max_abs) for one in ladder.simulated] == [
        (FP32, True, 0.0),
        (INT8, False, 0.0078),
    ]
    assert ladder.simulated[1].distances["size"].cosine == 0.999 and ladder.rungs[-1].distance_images == 1


def test_stand_in_weights_have_no_figures_and_keep_their_distances(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace).model_copy(update={"measured": (measured(workspace, FP32, None),)})
    rung = measurements(found).rungs[-1]
    assert rung.figures is None and set(rung.distances) == {"heatmap", "size", "offset"}
