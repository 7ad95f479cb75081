"""Charts: what they say, and that equal values give equal bytes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tasks.report.charts import PRECISION_COLOURS, Bar, Chart, LadderRow, bars, ladder

BARS = [Bar("BM1688 fp32", 0.6152, "fp32", "0.6152"), Bar("BM1688 int8", 0.5982, "int8", "0.5982")]
RUNGS = [
    LadderRow("PyTorch", 0.0, {"heatmap": 200.0, "size": 200.0}),
    LadderRow("TorchScript", 0.0, {}),
    LadderRow("BM1688 int8", 0.0169, {"heatmap": 36.5, "size": 27.6}),
]


def texts(chart: Chart) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", chart.svg)


def test_bars_carry_their_names_values_and_what_they_are_compared_with() -> None:
    chart = bars(BARS, "AP", mark=(0.6152, "PyTorch 0.6152"))
    assert {"BM1688 fp32", "BM1688 int8", "0.6152", "0.5982", "PyTorch 0.6152", "AP", "int8"} <= set(texts(chart))
    assert PRECISION_COLOURS["int8"] in chart.svg


def test_the_ladder_tells_loss_and_noise_of_every_rung() -> None:
    said = texts(ladder(RUNGS))
    assert {"PyTorch", "TorchScript", "BM1688 int8", "+0.0169", "heatmap", "size", "AP lost to TorchScript"} <= set(
        said
    )


def test_without_accuracy_the_ladder_shows_noise_alone() -> None:
    said = texts(ladder([row._replace(lost=None) for row in RUNGS]))
    assert "AP lost to TorchScript" not in said and "signal to noise, dB" in said


@pytest.mark.parametrize(
    "make",
    [
        lambda: bars([Bar("one", 0.0, "fp32", "0")], "nothing at all"),
        lambda: ladder([LadderRow("PyTorch", None, {})]),
        lambda: ladder([LadderRow("PyTorch", 0.0, {"a head of its own": -3.0})]),
        lambda: bars([Bar(f"variant {i}", 1.0 + i, "fp16", f"{i}") for i in range(40)], "many"),
        lambda: bars([Bar("$x^2$ <b>", 1.0, "other", "<&>")], "text that looks like markup"),
    ],
)
def test_charts_of_few_many_and_odd_values_can_be_drawn(make) -> None:  # type: ignore[no-untyped-def]
    chart = make()
    ElementTree.fromstring(chart.svg)
    assert np.asarray(cv2.imdecode(np.frombuffer(chart.png, np.uint8), cv2.IMREAD_COLOR)).size > 0


def test_the_vector_form_has_no_fixed_size_no_date_and_the_ink_of_the_page() -> None:
    root = ElementTree.fromstring(bars(BARS, "AP").svg)
    assert "viewBox" in root.attrib and not {"width", "height"} & set(root.attrib)
    text = ladder(RUNGS).svg
    assert "currentColor" in text and "<metadata" not in text and "<style" not in text and "#010101" not in text
    assert not re.search(r"(href|src)=\"(?!#)", text)


def test_equal_values_give_equal_bytes_in_another_process_whatever_its_user_likes(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 33\nfigure.facecolor: red\n")
    program = (
        "import sys; from tests.tasks.report.test_charts import *\n"
        "chart = ladder(RUNGS); sys.stdout.buffer.write(chart.svg.encode() + chart.png)"
    )
    environment = {"MATPLOTLIBRC": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7"}
    folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, check=True)
    here = ladder(RUNGS)
    assert done.stdout == here.svg.encode() + here.png
