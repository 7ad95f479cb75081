"""The notes of published releases as a command, and the contract with the vendor's programs on a built one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.bmodel import read_bmodel
from artifacts.evidence import attach
from artifacts.measurements import MEASUREMENTS_TITLE
from flows.release_notes import run_release_notes
from inference.vendor_programs import in_words
from tests.artifacts.releases import release
from tests.flows.conftest import runner
from tests.flows.tiny import TinyBuild
from tests.tasks.ladder.made import INT8, RAW, evidence, measured

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]

# All kinds of variants at the vendor's size; one image each, since the stand-in compiler counts nothing.
AT_512 = (
    "preprocess.width=512",
    "preprocess.height=512",
    'matrix=[{chip = "BM1684X", precisions = ["fp16"]}, '
    '{chip = "BM1688", precisions = ["int8"], batches = [1, 4], cores = [1, 2], io = ["float", "raw"]}]',
)


@pytest.fixture
def reference(tmp_path: Path) -> str:
    """A release in a layout, with measurements and evidence."""
    record, files = release(tmp_path / "files", variants=(INT8, RAW))
    (tmp_path / "measured").write_bytes(measured().to_json())
    files[MEASUREMENTS_TITLE] = tmp_path / "measured"
    done = layout.publish(tmp_path / "registry", record, files, ["1.0.0", "latest"])
    attach(tmp_path / "registry", evidence(INT8, 0.54, release=done.digest))
    return f"oci:{tmp_path}/registry:1.0.0"


def test_the_notes_hold_record_measurements_and_evidence(reference: str, capsys: Capture) -> None:
    assert run_release_notes([reference]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# centernet 1.0.0\n") and shown.err == ""
    for text in ("| BM1684X int8 | 0.5500 |", "| BM1684X/centernet_int8_1b.bmodel | 0.5400 |", "| 3.301 | 4.4 |"):
        assert text in shown.out


def test_they_are_written_to_a_file_whole_on_request(reference: str, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "notes.md"
    assert run_release_notes([reference, "--output", str(output)]) == 0
    assert f"are in {output}" in capsys.readouterr().out
    assert run_release_notes([reference]) == 0
    assert capsys.readouterr().out == output.read_text()


def test_a_file_that_cannot_be_written_is_told(reference: str, tmp_path: Path, capsys: Capture) -> None:
    assert run_release_notes([reference, "--output", str(tmp_path / "no" / "notes.md")]) == 1
    assert "cannot be written: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [(["oci:"], 2), (["oci:nowhere:latest"], 1)])
def test_what_names_no_release_is_told(arguments: list[str], status: int, capsys: Capture) -> None:
    assert run_release_notes(arguments) == status
    shown = capsys.readouterr()
    assert shown.err and "Traceback" not in shown.err and not shown.out


def test_without_a_reference_they_are_of_what_the_profile_published_last(finished: TinyBuild, capsys: Capture) -> None:
    assert run_release_notes(["--profile", str(finished.profile)]) == 0
    shown = capsys.readouterr().out
    assert f"- Release: `{finished.digest}`" in shown and "They are of different networks" in shown
    assert "the model takes 64 x 64, they are written for 512 x 512 (every model)" in shown


def test_what_a_build_makes_at_512_the_vendors_programs_run(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = TinyBuild(tmp_path)
    assert runner(build, monkeypatch)(*(part for change in AT_512 for part in ("--set", change))) == 0
    record = build.release
    assert (record.preprocess.width, len(record.class_names)) == (512, 80)
    for one in record.variants:
        # The folder and the file that the vendor's scripts name, and in it one network of one shape.
        found = read_bmodel(build.folder / "release" / one.variant.chip / f"{one.variant.stem}.bmodel")
        assert (len(found.nets), len(found.nets[0].stages)) == (1, 1)
        stage = found.nets[0].stages[0]
        assert (stage.inputs, stage.outputs) == (one.inputs, one.outputs)
        words = in_words(one, record.preprocess)
        assert words.startswith("none (takes uint8") if one.variant.io == "raw" else words == "all four"
    assert {one.variant.io for one in record.variants} == {"float", "raw"} and len(record.variants) == 9


def test_neither_prefect_nor_torch_is_waited_for(reference: str) -> None:
    program = (
        "import sys, runpy\n"
        "try: runpy.run_module('flows.release_notes', run_name='__main__')\n"
        "except SystemExit as done: assert done.code == 0\n"
        "print(sorted({'prefect', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, reference]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.splitlines()[-1] == "[]"
