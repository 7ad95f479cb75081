"""Ladders as text."""

from __future__ import annotations

from tasks.ladder.ladder import class_losses, of_release
from tasks.ladder.text import HEADING, aligned, cells, class_table, legend
from tests.tasks.ladder.made import measured, record


def test_every_column_is_filled_or_says_that_there_is_nothing() -> None:
    rows = {row.rung: cells(row) for row in of_release(record(), measured()).rows}
    assert rows["BM1684X int8"] == (
        "BM1684X int8",
        "64",
        "0.5500",
        "0.5500",
        "0.5500",
        "0.5500 / - / 0.5500",
        "0.0500 (fp16)",
        "0.0600",
        "0.0400 to 0.0800",
        *("0.99000 / 30.0",) * 3,
        "-",
    )
    assert rows["TorchScript"][9:12] == ("reference",) * 3
    assert rows["BM1684X fp32"] == ("BM1684X fp32", *("-",) * 11, "not measured")
    assert all(len(row) == len(HEADING) for row in rows.values())


def test_a_cosine_without_noise_is_written_as_what_it_is() -> None:
    rows = {row.rung: cells(row) for row in of_release(record(), None).rows}
    assert rows["TorchScript"].heatmap == "-" and rows["BM1684X int8"].remark.startswith("from the release record")


def test_a_loss_that_rounds_to_nothing_has_no_sign() -> None:
    row = of_release(record(), measured()).rows[0].model_copy(update={"lost": -0.00001})
    assert cells(row).lost == "0.0000"


def test_the_legend_names_the_images_of_the_interpreter_and_not_of_the_simulator() -> None:
    assert "against the TorchScript, over 32 images; in the simulator" in legend(of_release(record(), measured()).rows)
    assert "against the TorchScript; in the simulator" in legend(of_release(record(), None).rows)


def test_classes_show_what_each_column_loses() -> None:
    lines = class_losses({"dog": 0.6}, {"int8": {"dog": 0.55, "late": 0.2}, "fp16": {}})
    heading, rows = class_table(lines, ["int8", "fp16"])
    assert heading == ("class", "TorchScript", "int8 (lost)", "fp16 (lost)")
    assert rows == [("dog", "0.6000", "0.5500 (0.0500)", "-"), ("late", "-", "0.2000", "-")]


def test_columns_are_as_wide_as_they_have_to_be() -> None:
    assert aligned(("a", "long", "b"), [("longer", "x", "y")]) == ["a       long  b", "longer  x     y"]
