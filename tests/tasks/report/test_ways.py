"""The ways to make int8 that were tried, as rows of text and as points of a chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from artifacts.measurements import Loss
from settings.quantize import Recipe
from tasks.attempts import NO_LABEL, Label, Sensitivity, TensorShare, Tried
from tasks.publish import Results
from tasks.report.charts import Point, frontier
from tasks.report.page import draw_report
from tasks.report.text import about, markdown
from tasks.report.view import commands
from tasks.report.ways import FIRST, frontiers, name_of, outcome, tensor_rows, way_rows
from tests.tasks.pictured import pictured
from tests.tasks.results import INT8, heads, settings_in, workspace_in


def tried(**fields: Any) -> Tried:
    values: dict[str, Any] = {
        "variant": INT8,
        "label": NO_LABEL,
        "method": "kl",
        "recipe": Recipe(),
        "float_layers": ("16", "62"),
        "distances": heads(),
    }
    return Tried.model_validate(values | fields)


LOST = tried(ap=0.5, bounds=Loss(drop=0.1, low=-0.0, high=0.2, images=9), estimated_ms=0.5, reasons=("a", "AP falls"))
REFUSED = tried(label=Label(text="heads in float"), distances={}, reasons=("the compiler does not take it: no",))
CHOSEN = tried(label=Label(text="method max"), ap=0.59, estimated_ms=0.6, float_layers=("16", "62", "x"), chosen=True)
SHARES = Sensitivity(
    variant=INT8,
    images=4,
    tensors=(
        TensorShare(
            tensor="x", kind="top.Conv", layers=("x", "62"), removed={"heatmap": 0.25, "size": 0.0, "offset": -0.5}
        ),
        TensorShare(
            tensor="y", kind="top.Deconv", layers=("y", "x"), removed={"heatmap": 0.0, "size": 0.0, "offset": 0.0}
        ),
    ),
)


def found(folder: Path, **changes: Any) -> Results:
    """A build with fp32 and int8 of one chip, where three ways were tried."""
    results = pictured(workspace_in(folder))
    return results.model_copy(update={"attempts": (LOST, REFUSED, CHOSEN), "sensitivities": (SHARES,), **changes})


def test_every_way_is_a_row_with_what_it_gives_costs_and_came_to(tmp_path: Path) -> None:
    rows = way_rows(found(tmp_path))
    decibels = "40.0 / 40.0 / 40.0"
    assert rows == [
        ("BM1688", FIRST, "0.5000", "0.0000 to 0.2000", decibels, "0.500", "2", "AP falls"),
        ("BM1688", "heads in float", "-", "-", "-", "-", "2", "the compiler does not take it: no"),
        ("BM1688", "method max", "0.5900", "-", decibels, "0.600", "3", "chosen"),
    ]
    assert name_of(LOST) == FIRST and outcome(tried()) == "good enough"


def test_a_tensor_is_shown_with_the_noise_that_goes_and_whether_it_stays_in_float() -> None:
    assert tensor_rows(SHARES, (LOST, CHOSEN)) == [
        ("x", "Conv", "-25.0%", "+0.0%", "+50.0%", "x, 62", "yes"),
        ("y", "Deconv", "+0.0%", "+0.0%", "+0.0%", "y, x", "no"),
    ]
    assert [row[-1] for row in tensor_rows(SHARES, (LOST,))] == ["no", "no"]


def test_the_frontier_has_what_was_measured_and_the_floats_of_the_same_chip(tmp_path: Path) -> None:
    ((rung, points),) = frontiers(found(tmp_path))
    assert rung == INT8
    assert [(one.name, one.ap, one.chosen) for one in points] == [
        (FIRST, 0.5, False),
        ("method max", 0.59, True),
        ("fp32", 0.6, False),
    ]
    assert list(frontiers(found(tmp_path, attempts=()))) == []


def test_the_other_chips_of_a_build_have_no_place_on_the_frontier(tmp_path: Path) -> None:
    results = found(tmp_path)
    other = results.compiled[0].variant.model_copy(update={"chip": "BM1684X", "precision": "fp16"})
    compiled = results.compiled[0].model_copy(update={"variant": other})
    measured = results.measured[0].model_copy(update={"variant": other})
    tried = tuple(
        one.model_copy(update={"variant": INT8.model_copy(update={"chip": "BM1684"})}) for one in (LOST, CHOSEN)
    )
    mixed = results.model_copy(
        update={"compiled": (compiled,), "measured": (measured, *results.measured), "attempts": tried}
    )
    ((rung, points),) = frontiers(mixed)
    assert rung.chip == "BM1684" and [one.precision for one in points] == ["int8", "int8"]


def test_one_point_is_no_frontier(tmp_path: Path) -> None:
    results = found(tmp_path, attempts=(LOST, REFUSED))
    alone = results.model_copy(update={"compiled": results.compiled[1:]})
    assert list(frontiers(alone)) == []


@pytest.mark.parametrize("slow", [1.0, 50.0])
def test_the_chart_names_every_point_and_is_the_same_each_time(slow: float) -> None:
    points = [Point("as the settings say", 0.5, 0.5, "int8", False), Point("heads <in> float", slow, 0.6, "int8", True)]
    drawn = frontier(points, "ms", "AP")
    assert "heads &lt;in&gt; float" in drawn.svg and "(chosen)" in drawn.svg
    assert drawn == frontier(points, "ms", "AP") and drawn.png.startswith(b"\x89PNG")


def test_the_report_shows_the_ways_and_says_how_sure_that_is(tmp_path: Path) -> None:
    results, settings, workspace = found(tmp_path), settings_in(tmp_path), workspace_in(tmp_path)
    text = markdown(results, settings, "tpu-mlir 1.30.2")
    assert "## Ways to make int8" in text and "| method max |" in text and "| x | Conv | -25.0% |" in text
    assert "95 % of one try are not 95 % of several" in text
    drawn = draw_report.fn(results, about(settings, "tpu-mlir 1.30.2"), commands(results), workspace)
    page = workspace.content.verified(drawn.page).read_text()
    assert "<h2>Ways to make int8</h2>" in page and "BM1688: what the ways to make int8 give and cost" in page
    assert "Ways to make int8" not in markdown(results.model_copy(update={"attempts": ()}), settings, "tpu-mlir 1.30.2")
