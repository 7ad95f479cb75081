"""The loss ladder of published releases as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from artifacts import layout
from artifacts.evidence import attach
from artifacts.measurements import MEASUREMENTS_TITLE
from flows.ladder import run_ladder
from tests.artifacts.releases import release
from tests.flows.tiny import TinyBuild
from tests.tasks.ladder.made import INT8, RAW, evidence, measured, protocol

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
VARIANTS = (INT8, RAW)


class Published(NamedTuple):
    """A release in a layout: its folder and its digest."""

    registry: Path
    digest: str

    @property
    def reference(self) -> str:
        return f"oci:{self.registry}:1.0.0"


def publish(folder: Path, *, with_measurements: bool = True) -> Published:
    record, files = release(folder / "files", variants=VARIANTS)
    if with_measurements:
        (folder / "measured").write_bytes(measured().to_json())
        files[MEASUREMENTS_TITLE] = folder / "measured"
    done = layout.publish(folder / "registry", record, files, ["1.0.0", "latest"])
    return Published(folder / "registry", done.digest)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return publish(tmp_path)


def lines(text: str) -> dict[str, list[str]]:
    """The cells of each line of a table, by its first cell."""
    split = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in reversed(split) if len(cells) > 1}


def test_the_rungs_of_a_release_are_printed_with_what_each_loses(published: Published, capsys: Capture) -> None:
    assert run_ladder([published.reference]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{published.reference} is centernet 1.0.0 ({published.digest})\nA demonstration")
    assert "AP: bbox AP, 64 images, protocol coco (score >= 0, best 100), data set sha256:" in shown.out
    table = lines(shown.out)
    assert table["BM1684X int8"][:8] == [
        "64",
        *("0.5500",) * 3,
        "0.5500 / - / 0.5500",
        "0.0500 (fp16)",
        "0.0600",
        "0.0400 to 0.0800",
    ]
    assert table["BM1684X fp32"][-1] == "not measured" == table["BM1684X on a device, hardware preprocessing"][-1]
    assert table["BM1684X int8 in the simulator (1b)"][-1].endswith("0.0078 over 2 images; no AP is claimed")
    assert "AP by class" not in shown.out and shown.err == ""


def test_classes_are_printed_on_request_what_loses_most_first(published: Published, capsys: Capture) -> None:
    assert run_ladder([published.reference, "--classes"]) == 0
    shown = capsys.readouterr().out
    rows = shown[shown.index("AP by class") :].splitlines()[2:]
    assert rows[0].split()[:2] == ["class", "TorchScript"] and [row.split()[0] for row in rows[1:]] == ["dog", "cat"]
    assert "0.5500 (0.0600)" in rows[1]


def test_what_devices_measured_follows_and_what_is_of_other_images_says_so(
    published: Published, capsys: Capture
) -> None:
    other = protocol(dataset_digest="sha256:" + "b" * 64, images=9)
    for about, ap, more in ((INT8, 0.54, {}), (RAW, 0.53, {"protocol": other})):
        layout_evidence = evidence(about, ap, release=published.digest, **more)
        attach(published.registry, layout_evidence)
    assert run_ladder([published.reference]) == 0
    table = lines(capsys.readouterr().out)
    host = table["BM1684X int8 on device board (1b), host preprocessing"]
    assert host[:2] == ["64", "0.5400"] and "0.0100 (int8)" in host
    hardware = table["BM1684X int8 on device board (1b raw), hardware preprocessing"]
    assert hardware[:2] == ["9", "0.5300"] and hardware[-1].startswith("not compared: another data set (sha256:bbb")
    assert hardware[4:-1] == ["-"] * 4


def test_one_chip_and_precision_can_be_asked_for(tmp_path: Path, published: Published, capsys: Capture) -> None:
    assert run_ladder([published.reference, "--chip", "BM1684X", "--precision", "int8", "--precision", "fp32"]) == 0
    table = lines(capsys.readouterr().out)
    assert "BM1684X fp16" not in table and {"BM1684X int8", "BM1684X fp32", "PyTorch"} <= set(table)
    assert run_ladder([published.reference, "--chip", "BM1684"]) == 0
    assert "PyTorch" not in capsys.readouterr().out  # the release has nothing for it


def test_json_has_every_figure_unrounded(published: Published, capsys: Capture) -> None:
    assert run_ladder([published.reference, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["release"]["digest"] == published.digest and found["release"]["protocol"]["images"] == 64
    assert [row["rung"] for row in found["start"]] == ["PyTorch", "TorchScript"]
    int8 = next(row for row in found["chips"][0]["rows"] if row["rung"] == "BM1684X int8")
    assert int8["lost"] == 0.61 - 0.55 and int8["bounds"] == [0.04, 0.08]
    assert int8["by_class"] == {"dog": 0.55, "cat": 0.5, "elk": None} and int8["heads"]["size"]["snr_db"] == 30.0


def test_a_release_from_before_measurements_were_kept_is_shown_as_far_as_it_goes(
    tmp_path: Path, capsys: Capture
) -> None:
    older = publish(tmp_path, with_measurements=False)
    assert run_ladder([older.reference, "--classes"]) == 0
    shown = capsys.readouterr().out
    table = lines(shown)
    assert table["PyTorch"][-1] == "not measured" and table["BM1684X int8"][:3] == ["64", "0.3600", "0.5500"]
    assert shown.rstrip().endswith("not measured")


def test_without_a_reference_it_is_what_the_profile_published_last(finished: TinyBuild, capsys: Capture) -> None:
    assert run_ladder(["--profile", str(finished.profile)]) == 0
    shown = capsys.readouterr().out
    version = next(tag for tag in layout.tags(finished.folder / "registry") if tag != "latest")
    assert shown.startswith(f"oci:{finished.folder}/registry:latest is centernet {version} (sha256:")
    table = lines(shown)
    assert table["BM1684X int8"][0] == "2" and table["BM1688 fp32 in the simulator (1b)"][0] == "1"
    assert table["BM1684X fp16"][-1] == "not measured"


def test_the_report_of_a_release_holds_the_rows_that_the_command_prints(finished: TinyBuild, capsys: Capture) -> None:
    assert run_ladder(["--profile", str(finished.profile)]) == 0
    table = lines(capsys.readouterr().out)
    report = (finished.folder / "release" / "report.md").read_text().splitlines()
    ladder = [line.strip("| ").split(" | ") for line in report if " in the simulator (" in line]
    assert len(ladder) == 2
    for name, *texts in ladder:
        assert set(table[name]) <= set(texts)


def test_a_release_that_is_not_there_fails_in_one_paragraph(published: Published, capsys: Capture) -> None:
    assert run_ladder([f"oci:{published.registry}:9.9.9"]) == 1
    shown = capsys.readouterr()
    assert "nothing named '9.9.9'" in shown.err and "unforeseen" not in shown.err and shown.out == ""


def test_measurements_that_cannot_be_read_fail_and_say_what_is_wrong(tmp_path: Path, capsys: Capture) -> None:
    record, files = release(tmp_path / "files", variants=VARIANTS)
    (tmp_path / "measured").write_text('{"schema_version": "1.1", "rungs": []}')
    files[MEASUREMENTS_TITLE] = tmp_path / "measured"
    layout.publish(tmp_path / "registry", record, files, ["latest"])
    assert run_ladder([f"oci:{tmp_path / 'registry'}"]) == 1
    shown = capsys.readouterr().err
    assert "The reading of the ladder failed." in shown and "rungs" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["https://example.com/x"], "names no release in a registry"),
        (["--profile", "smaple"], "sample"),
        (["--set", "relaese.version=1"], "release"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments: list[str], told: str, capsys: Capture) -> None:
    assert run_ladder(arguments) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--chip", "BM1"], ["--precision", "int4"], ["one", "two"]])
def test_arguments_that_cannot_be_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_ladder(arguments)
    assert caught.value.code == 2


def test_neither_prefect_nor_torch_is_waited_for(published: Published) -> None:
    program = (
        "import sys, runpy\n"
        "try: runpy.run_module('flows.ladder', run_name='__main__')\n"
        "except SystemExit as done: assert done.code == 0\n"
        "print(sorted({'prefect', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, published.reference]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.splitlines()[-1] == "[]"
