"""The report of a build."""

from __future__ import annotations

from pathlib import Path

from tasks.ladder.ladder import of_build
from tasks.ladder.text import DEMONSTRATION, HEADING, cells
from tasks.measurements import measurements
from tasks.publish import Results
from tasks.report.text import STAND_IN, failed, ladder, markdown, timings
from tests.tasks.results import FP32, INT8, evidence, measured, results, settings_in, workspace_in


def rows(text: str) -> dict[str, list[str]]:
    """Cells of each table row, by its first cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}


def report(found: Results, folder: Path, *overrides: str) -> str:
    return markdown(found, settings_in(folder, *overrides), "tpu-mlir 1.30.2")


def test_every_variant_has_a_row(tmp_path: Path) -> None:
    table = rows(report(results(workspace_in(tmp_path)), tmp_path))
    assert table["BM1688/centernet_fp32_1b.bmodel"] == [
        "0.00",
        "4.00",
        "0.864",
        "1.0000 / 1.0000 / 1.0000",
        "0.6000",
        "bit-identical",
        "passed",
    ]
    assert table["BM1688/centernet_int8_1b.bmodel"][3:] == [
        "1.0000 / 1.0000 / 0.9877",
        "0.5900",
        "within 0.0078",
        "passed",
    ]


def test_a_variant_that_the_simulator_did_not_run_says_so(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    table = rows(report(found.model_copy(update={"simulated": found.simulated[1:]}), tmp_path))
    assert table["BM1688/centernet_fp32_1b.bmodel"][5] == "not run"
    assert table["BM1688/centernet_int8_1b.bmodel"][5] == "within 0.0078"


def test_the_ladder_is_the_one_that_the_command_prints_of_the_release(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    heading, table = ladder(found)
    published = of_build(measurements(found), [one.variant for one in found.compiled])
    assert heading == HEADING and table == [cells(row) for row in published.rows]
    assert rows(report(found, tmp_path))["BM1688 int8"] == list(table[4][1:])
    assert "- Loss ladder: AP lost is negative where a rung gains" in report(found, tmp_path)


def test_what_was_checked_of_the_calibration_is_listed_with_its_outcome(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    text = report(found, tmp_path)
    assert "## Calibration preflight" in text and rows(text)["no image twice"] == ["passed", "1 digest"]
    assert "| every class is shown | warning | 1 of 2 classes: \\<b\\>square\\| |" in text
    assert "preflight" not in report(found.model_copy(update={"checks": ()}), tmp_path)


def test_equal_results_give_equal_reports_however_long_they_took(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    fast, slow = results(workspace, seconds=1.0), results(workspace, seconds=999.0)
    assert report(fast, tmp_path) == report(slow, tmp_path)
    assert str(tmp_path) not in report(fast, tmp_path)


def test_what_did_not_pass_is_named_with_its_reasons_and_worst_images(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path), failing=("too bad", "and worse"))
    text = report(found, tmp_path)
    assert "- BM1688/centernet_int8_1b.bmodel: too bad; and worse. Images that lose most: a.jpg." in text
    assert rows(text)["BM1688/centernet_int8_1b.bmodel"][-1] == "FAILED"
    assert [verdict.variant for verdict in failed(found.verdicts)] == [INT8]
    assert "Not passed" not in report(results(workspace_in(tmp_path)), tmp_path)


def test_the_sample_says_that_it_is_a_demonstration(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    assert DEMONSTRATION in report(found, tmp_path)
    assert DEMONSTRATION not in report(found, tmp_path, "demonstration=false")


def test_accuracy_of_stand_in_weights_is_not_printed(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace).model_copy(
        update={
            "network": measured(workspace, None, None, rung="PyTorch"),
            "reference": measured(workspace, None, None),
            "measured": (measured(workspace, FP32, None), measured(workspace, INT8, None)),
        }
    )
    text = report(found, tmp_path, "evaluation.meaningful=false")
    assert STAND_IN in text and "- AP:" not in text
    assert rows(text)["BM1688/centernet_int8_1b.bmodel"][4] == "-"
    assert rows(text)["BM1688 int8"][:4] == ["1", "-", "-", "-"]


def test_the_slowest_command_stands_first(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    text = "\n".join(timings([("quick", evidence(workspace, 1.0)), ("slow", evidence(workspace, 60.25))]))
    assert text.index("| slow | 60.2 |") < text.index("| quick | 1.0 |")
