"""What stands on the page of the report."""

from __future__ import annotations

from pathlib import Path

from artifacts.release import Variant
from tasks.report.text import ladder
from tasks.report.view import (
    accuracy_bars,
    classes,
    common_name,
    distinct,
    heads,
    ladder_rows,
    latency_bars,
    rungs,
    sizes,
)
from tests.tasks.results import FP32, INT8, INT8_4B, compiled, measured, results, workspace_in

X_INT8 = Variant(chip="BM1684X", precision="int8", batch=1)


def test_rungs_that_agree_in_every_figure_share_a_column(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    same = measured(None, X_INT8, 0.59)
    columns = distinct(found.model_copy(update={"measured": (*found.measured, same)}))
    assert list(columns) == ["PyTorch", "TorchScript; BM1688 fp32", "BM1688, BM1684X int8"]


def test_a_rung_that_differs_in_one_class_has_a_column_of_its_own(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    other = measured(None, X_INT8, 0.59, by_class={"circle": 0.1, "square": None})
    assert "BM1684X int8" in distinct(found.model_copy(update={"measured": (*found.measured, other)}))


def test_rungs_are_named_together_by_precision() -> None:
    rungs = [measured(None, variant) for variant in (None, FP32, INT8, X_INT8)]
    assert common_name(rungs) == "TorchScript; BM1688 fp32; BM1688, BM1684X int8"


def test_only_classes_and_sizes_that_occur_have_a_row(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    by_class, by_size = classes(found), sizes(found)
    assert by_class is not None and [row[0].text for row in by_class.rows] == ["circle"]
    assert by_size is not None and [row[0].text for row in by_size.rows] == ["small"]
    assert [cell.text for cell in by_class.rows[0]] == ["circle", "0.6100", "0.6000", "0.5900"]


def test_a_class_that_only_a_later_rung_knows_is_not_lost(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    odd = found.measured[1].model_copy(update={"by_class": {"circle": 0.59, "late": 0.3}})
    by_class = classes(found.model_copy(update={"measured": (found.measured[0], odd)}))
    assert by_class is not None
    assert [cell.text for cell in by_class.rows[-1]] == ["late", "-", "-", "0.3000"]
    assert not any(cell.marked for cell in by_class.rows[-1])


def test_the_time_of_a_batch_is_shown_for_one_image(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace)
    untimed = found.compiled[0].model_copy(update={"estimated_ms": None})
    (bar,) = latency_bars(found.model_copy(update={"compiled": (untimed, compiled(workspace, INT8_4B))}))
    assert bar == ("BM1688 int8 b4 2 cores", 0.216, "int8", "0.22 ms (0.86 for 4)")


def test_the_tables_of_the_ladder_are_the_two_halves_of_its_rows(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    _, rows = ladder(found)
    accuracy, distance = rungs(found), heads(found)
    assert [tuple(cell.text for cell in row) for row in accuracy.rows] == [row[:9] for row in rows]
    assert [remark or "-" for remark in accuracy.remarks] == [row[-1] for row in rows]
    lines = [tuple(cell.text for cell in row) for row in distance.rows]
    assert lines == [(row[0], *row[9:12]) for row in rows if "/" in row[9]]
    assert len(accuracy.heading) == 9 and len(distance.heading) == 4


def test_without_accuracy_there_are_no_bars_and_no_losses(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    none = found.model_copy(
        update={
            "network": measured(None, None, None, rung="PyTorch"),
            "reference": measured(None, None, None),
            "measured": (measured(None, FP32, None), measured(None, INT8, None)),
        }
    )
    assert accuracy_bars(none) == ([], None) and classes(none) is None and sizes(none) is None
    assert {row.lost for row in ladder_rows(none)} == {None}


def test_the_ladder_shows_loss_and_noise(tmp_path: Path) -> None:
    rows = ladder_rows(results(workspace_in(tmp_path)))
    assert [(row.name, row.lost) for row in rows] == [
        ("PyTorch", -0.01),
        ("TorchScript", 0.0),
        ("BM1688 fp32", 0.0),
        ("BM1688 int8", 0.01),
    ]
    assert rows[1].snr_db == {} and rows[3].snr_db["offset"] == 40.0
