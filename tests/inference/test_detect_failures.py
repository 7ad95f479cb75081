"""The command ``detect`` where something is missing, wrong or ends early: what it says, and what it keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from inference import outputs
from inference.__main__ import main
from inference.errors import EngineError, NothingPulled
from inference.video import Video
from tests.inference.detecting import names, results, run
from tests.inference.engine_in_memory import EngineInMemory
from tests.inference.videos import write_video

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("engine", "no_thread_is_left")


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
    assert [entry["image_id"] for entry in results(tmp_path / "out")] == [139, 632]
    assert names(tmp_path / "out") == ["000000000139.jpg", "000000000632.png", "detections.json"]
    assert engine.closed


INTERRUPTED = """
    import sys, time
    sys.path.insert(0, {root!r})
    from inference import detector
    from inference.__main__ import main
    from tests.inference.engine_in_memory import SPEC, VARIANT, EngineInMemory

    class Slow(EngineInMemory):
        def run(self, batch):
            time.sleep(0.05)
            if len(self.batches) == 4:
                print("ready", file=sys.stderr, flush=True)
            return super().run(batch)

    detector._open_engine = lambda *_: Slow(VARIANT, SPEC)
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_termination_leave_a_whole_video_and_whole_results(
    release: Path, tmp_path: Path, number: signal.Signals
) -> None:
    street = write_video(tmp_path / "street.mp4", 150)
    output = tmp_path / "out"
    code = textwrap.dedent(INTERRUPTED).format(root=str(ROOT))
    arguments = ["detect", "--model", str(release), "--input", str(street), "--output", str(output), "--vendor-json"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=str(ROOT), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    assert not (output / "street.mp4").exists()
    os.kill(process.pid, number)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 1 and "interrupted" in said and "what was found is kept" in said
    vendor = "centernet_int8_2b.bmodel_street.mp4_opencv_python_result.json"
    assert names(output) == [vendor, "detections.json", "street.mp4"]
    count = len(results(output))
    assert 2 <= count < 150 and count == len(json.loads((output / vendor).read_text()))
    assert Video(output / "street.mp4").total == count


def test_a_device_without_a_release_says_how_to_get_one(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def local_release(text: Any) -> Path:
        raise NothingPulled("fetch one by pull", Path("store"))

    monkeypatch.setattr("inference.detect_command.local_release", local_release)
    assert main(["detect", "--input", str(photographs)]) == 1
    assert "fetch one by pull" in capsys.readouterr().err


def test_a_missing_release_is_told_before_the_input_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(*_: Any, **__: Any) -> None:
        raise AssertionError("the input was opened")

    monkeypatch.setattr("inference.detect_command.open_source", slow)
    assert main(["detect", "--model", str(tmp_path / "no release"), "--input", str(tmp_path / "no input")]) == 1
    assert f"there is no file or folder {tmp_path / 'no release'}" in capsys.readouterr().err


def test_an_empty_folder_is_an_error(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(release, tmp_path / "empty", tmp_path / "out") == 1
    assert "holds no image" in capsys.readouterr().err


def test_a_missing_input_is_an_error(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(release, tmp_path / "nothing", tmp_path / "out") == 1
    assert "there is no image, folder or video" in capsys.readouterr().err


def test_the_originals_are_never_overwritten(release: Path, photographs: Path, tmp_path: Path) -> None:
    before = (photographs / "7.BMP").read_bytes()
    assert run(release, photographs, photographs / ".." / photographs.name) == 2
    assert run(release, photographs / "7.BMP", photographs) == 2
    assert (photographs / "7.BMP").read_bytes() == before
    street = write_video(tmp_path / "street.mp4", 2)
    assert run(release, street, tmp_path) == 2
    assert run(release, photographs, photographs, "--no-pictures") == 0


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the model, which takes seconds, fails the test."""

    def load(*_: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("inference.detector._open_engine", load)


def test_an_output_that_cannot_be_made_is_an_error_before_the_model_is_loaded(
    release: Path, photographs: Path, tmp_path: Path, no_loading: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(release, photographs, tmp_path / "file" / "out") == 1
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file", "file/out"])
def test_an_output_that_is_a_file_is_told_as_such(
    release: Path, photographs: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(release, photographs, tmp_path / place) == 1
    assert f"{tmp_path / 'file'} is a file. Name a folder by --output" in capsys.readouterr().err


def test_a_disk_that_is_too_full_is_an_error_before_the_model_is_loaded(
    release: Path,
    photographs: Path,
    tmp_path: Path,
    no_loading: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(outputs, "free_bytes", lambda path: 5 << 20)
    assert run(release, photographs, tmp_path / "out") == 1
    assert "has 5 MB free, and at least 16 MB will be needed" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_an_error_before_the_model_is_loaded(
    release: Path, photographs: Path, tmp_path: Path, no_loading: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    assert run(release, photographs, tmp_path / "out") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_disk_that_fills_up_ends_the_run_and_names_the_file(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "000000000632.png").mkdir(parents=True)  # stands in the way, as a full disk would
    assert run(release, photographs, tmp_path / "out") == 1
    assert "000000000632.png cannot be written" in capsys.readouterr().err
    assert results(tmp_path / "out")


def test_a_missing_release_is_an_error(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "no release", photographs, tmp_path / "out") == 1
    assert "no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--conf", "2"],
        ["--conf", "much"],
        ["--engine", "cuda"],
        ["--chip", "BM1690"],
        ["--precision", "fp8"],
        ["--limit", "0"],
        ["--input", "camera:front"],
    ],
)
def test_wrong_usage_has_the_status_two(release: Path, photographs: Path, tmp_path: Path, options: List[str]) -> None:
    try:
        status = run(release, photographs, tmp_path / "out", *options)
    except SystemExit as error:
        status = int(str(error.code))
    assert status == 2


def test_the_vendors_format_without_a_folder_is_wrong_usage(release: Path, photographs: Path) -> None:
    assert main(["detect", "--model", str(release), "--input", str(photographs), "--vendor-json"]) == 2
