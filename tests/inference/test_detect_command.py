"""The command line: exit status, what it writes, and what it says, over an engine in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import cv2
import numpy as np
import pytest

from inference import detector as detector_module
from inference.__main__ import main
from inference.errors import EngineError
from inference.images import read_image
from tests.inference.releases import write_release
from tests.inference.test_detector import SPEC, VARIANT, EngineInMemory

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> EngineInMemory:
    engine = EngineInMemory(VARIANT, SPEC)
    monkeypatch.setattr(detector_module, "_open_engine", lambda model, python: engine)
    return engine


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", {VARIANT: b"compiled"}, spec=SPEC)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, size in (("000000000139.jpg", (128, 128)), ("000000000632.png", (600, 700)), ("7.BMP", (64, 64))):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), image)[1].tobytes())
    (folder / "notes.txt").write_text("no image")
    return folder


def run(release: Path, source: Path, output: Path, *options: str) -> int:
    return main(["detect", "--model", str(release), "--input", str(source), "--output", str(output), *options])


def test_a_folder_becomes_pictures_and_results_json(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep" / "out"
    assert run(release, photographs, output) == 0
    assert sorted(path.name for path in output.iterdir()) == [
        "000000000139.jpg",
        "000000000632.png",
        "7.BMP",
        "detections.json",
    ]
    assert read_image(output / "000000000632.png").shape == (600, 700, 3)
    entries = json.loads((output / "detections.json").read_text())
    assert [entry["image_id"] for entry in entries] == [139, 632, 7]
    assert entries[0]["bbox"] == pytest.approx([32, 32, 32, 16], abs=1e-2)
    said = capsys.readouterr().out
    assert "on the memory of BM1688" in said and "3 detections in 3 images" in said
    for stage in ("read", "preprocess", "infer", "decode", "draw", "write"):
        assert f"{stage} " in said


def test_a_single_image_will_do(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs / "7.BMP", tmp_path / "out") == 0
    assert (tmp_path / "out" / "7.BMP").is_file()


def test_unreadable_images_are_named_counted_and_skipped_and_the_status_says_so(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "0-cut.jpg").write_bytes((photographs / "000000000139.jpg").read_bytes()[:-100])
    (photographs / "empty.png").touch()
    assert run(release, photographs, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "0-cut.jpg" in said and "empty.png" in said and "2 of 5 images could not be read" in said
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())) == 3


def test_a_failing_engine_leaves_what_was_found_before_whole(
    *,
    release: Path,
    photographs: Path,
    tmp_path: Path,
    engine: EngineInMemory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_once = engine.run

    def fail_later(batch: np.ndarray) -> np.ndarray:
        if engine.batches:
            raise EngineError("the chip is gone")
        return run_once(batch)

    monkeypatch.setattr(engine, "run", fail_later)
    assert run(release, photographs, tmp_path / "out") == 1
    assert "error: the chip is gone" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())) == 1
    assert engine.closed


def test_an_interrupt_leaves_what_was_found_before_whole(
    release: Path, photographs: Path, tmp_path: Path, engine: EngineInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_once = engine.run

    def interrupt_later(batch: np.ndarray) -> np.ndarray:
        if len(engine.batches) > 1:
            raise KeyboardInterrupt
        return run_once(batch)

    monkeypatch.setattr(engine, "run", interrupt_later)
    assert run(release, photographs, tmp_path / "out") == 1
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())) == 2
    assert engine.closed


def test_the_score_threshold_is_passed_on(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs, tmp_path / "out", "--conf", "0.99") == 0
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == []


def test_an_empty_folder_is_an_error(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(release, tmp_path / "empty", tmp_path / "out") == 1
    assert "holds no image" in capsys.readouterr().err


def test_a_missing_input_is_an_error(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(release, tmp_path / "nothing", tmp_path / "out") == 1
    assert "there is no image or folder" in capsys.readouterr().err


def test_the_originals_are_never_overwritten(release: Path, photographs: Path) -> None:
    before = (photographs / "7.BMP").read_bytes()
    assert run(release, photographs, photographs / ".." / photographs.name) == 2
    assert run(release, photographs / "7.BMP", photographs) == 2
    assert (photographs / "7.BMP").read_bytes() == before


def test_an_output_that_cannot_be_made_is_an_error_before_the_model_is_loaded(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / "no release", photographs, tmp_path / "file" / "out") == 1
    assert "cannot be made" in capsys.readouterr().err


def test_a_missing_release_is_an_error(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "no release", photographs, tmp_path / "out") == 1
    assert "no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--conf", "2"], ["--conf", "much"], ["--engine", "cuda"], ["--chip", "BM1690"], ["--precision", "fp8"]],
)
def test_wrong_usage_has_the_status_two(release: Path, photographs: Path, tmp_path: Path, options: List[str]) -> None:
    try:
        status = run(release, photographs, tmp_path / "out", *options)
    except SystemExit as error:
        status = int(str(error.code))
    assert status == 2


def test_help_loads_neither_opencv_nor_pydantic() -> None:
    code = (
        "import sys; from inference.__main__ import main\n"
        "try: main(['detect', '--help'])\n"
        "except SystemExit: sys.exit(sorted({'cv2', 'pydantic', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
