"""The command line: exit status, what it writes, and what it says, over an engine in memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import cv2
import numpy as np
import pytest

from inference import detector as detector_module
from inference import outputs
from inference.__main__ import main
from inference.errors import EngineError, NothingPulled
from inference.images import read_image
from inference.live import LiveSource
from inference.video import Video
from tests.inference.releases import write_release
from tests.inference.test_detector import SPEC, VARIANT, EngineInMemory
from tests.inference.test_live import ScriptedCapture, opener
from tests.inference.videos import index_first, write_video

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> EngineInMemory:
    engine = EngineInMemory(VARIANT, SPEC)
    monkeypatch.setattr(detector_module, "_open_engine", lambda *_: engine)
    return engine


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("centernet-")] == []


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


def run(release: Path, source: Any, output: Path, *options: str) -> int:
    return main(["detect", "--model", str(release), "--input", str(source), "--output", str(output), *options])


def results(output: Path) -> List[Any]:
    found = json.loads((output / "detections.json").read_text())
    assert isinstance(found, list)
    return found


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_becomes_pictures_and_results_json(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep" / "out"
    assert run(release, photographs, output) == 0
    assert names(output) == ["000000000139.jpg", "000000000632.png", "7.BMP", "detections.json"]
    assert read_image(output / "000000000632.png").shape == (600, 700, 3)
    entries = results(output)
    assert [entry["image_id"] for entry in entries] == [139, 632, 7]
    assert entries[0]["bbox"] == pytest.approx([32, 32, 32, 16], abs=1e-2)
    said = capsys.readouterr().out
    assert "on the memory of BM1688" in said and "3 detections in 3 images" in said
    for stage in ("read", "preprocess", "infer", "decode", "draw", "write"):
        assert f"{stage} " in said
    assert re.search(r"end to end: [\d.]+ s, [\d.]+ ms an image, [\d.]+ images/s", said)


def test_a_single_image_will_do(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs / "7.BMP", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["7.BMP", "detections.json"]


def test_without_an_output_what_is_found_is_printed(
    release: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(photographs)
    assert main(["detect", "--model", str(release), "--input", str(photographs)]) == 0
    said = capsys.readouterr().out
    assert "000000000139.jpg: 1 dog\n" in said and "7.BMP: 1 dog\n" in said
    assert names(photographs) == before


def test_the_vendors_format_is_written_on_request_and_pictures_are_left_out(
    release: Path, photographs: Path, tmp_path: Path
) -> None:
    assert run(release, photographs, tmp_path / "out", "--vendor-json", "--no-pictures") == 0
    name = "centernet_int8_2b.bmodel_photographs_opencv_python_result.json"
    assert names(tmp_path / "out") == [name, "detections.json"]
    entries = json.loads((tmp_path / "out" / name).read_text())
    assert [entry["image_name"] for entry in entries] == ["000000000139.jpg", "000000000632.png", "7.BMP"]
    assert entries[0]["bboxes"][0]["category_id"] == 1


def test_no_more_images_are_looked_at_than_the_limit(
    release: Path, photographs: Path, tmp_path: Path, engine: EngineInMemory
) -> None:
    assert run(release, photographs, tmp_path / "out", "--limit", "1") == 0
    assert names(tmp_path / "out") == ["000000000139.jpg", "detections.json"]
    assert sum(len(batch) for batch in engine.batches) == 1


def test_unreadable_images_are_named_counted_and_skipped_and_the_status_says_so(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "0-cut.jpg").write_bytes((photographs / "000000000139.jpg").read_bytes()[:-100])
    (photographs / "empty.png").touch()
    assert run(release, photographs, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "0-cut.jpg" in said and "empty.png" in said and "2 of 5 images could not be read" in said
    # Not all names are numbers: each image is numbered by its place, the unreadable ones too.
    assert [entry["image_id"] for entry in results(tmp_path / "out")] == [2, 3, 4]


def test_a_video_becomes_a_video_and_results_by_frame(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = write_video(tmp_path / "street.avi", 9, codec="MJPG")
    assert run(release, street, tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["detections.json", "street.mp4"]
    entries = results(tmp_path / "out")
    assert [entry["image_id"] for entry in entries] == list(range(1, 10))
    assert entries[3]["file_name"] == "street.avi#4" and entries[3]["time_s"] == 0.3
    annotated = Video(tmp_path / "out" / "street.mp4")
    assert (annotated.total, annotated.fps) == (9, 10.0)
    shapes = {np.asarray(pending().image).shape for pending in annotated}
    assert shapes == {(64, 96, 3)}
    assert "9 detections in 9 frames" in capsys.readouterr().out


def test_a_video_that_ends_mid_frame_is_used_as_far_as_it_goes(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = index_first(write_video(tmp_path / "whole.mp4", 24).read_bytes())
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.8)])
    assert run(release, tmp_path / "cut.mp4", tmp_path / "out") == 1
    said = capsys.readouterr().err
    frames = len(results(tmp_path / "out"))
    assert 2 <= frames < 24 and f"ends early: {frames} of the 24 frames" in said
    assert Video(tmp_path / "out" / "cut.mp4").total == frames


def test_frames_that_a_live_source_dropped_are_counted_and_keep_their_numbers(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = LiveSource("camera:0", opener(ScriptedCapture(range(10))), limit=1)
    source._start()
    while source._count < 10:
        time.sleep(0.001)
    monkeypatch.setattr("inference.detect_command.open_source", lambda *_, **__: source)
    assert run(release, "camera:0", tmp_path / "out") == 0
    assert [entry["image_id"] for entry in results(tmp_path / "out")] == [10]
    assert "9 frames were left out because newer ones had come" in capsys.readouterr().out
    assert Video(tmp_path / "out" / "camera_0.mp4").fps == 12.0


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
    from tests.inference.test_detector import SPEC, VARIANT, EngineInMemory

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


def test_the_score_threshold_is_passed_on(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs, tmp_path / "out", "--conf", "0.99") == 0
    assert results(tmp_path / "out") == []


def test_without_a_model_the_release_in_use_on_the_device_is_taken(
    release: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: List[Any] = []

    def local_release(text: Any) -> Path:
        asked.append(text)
        return release

    monkeypatch.setattr("inference.detect_command.local_release", local_release)
    assert main(["detect", "--input", str(photographs)]) == 0
    assert main(["detect", "--input", str(photographs), "--model", "registry.example/centernet:1"]) == 0
    assert asked == [None, "registry.example/centernet:1"]


def test_a_device_without_a_release_says_how_to_get_one(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def local_release(text: Any) -> Path:
        raise NothingPulled("fetch one by pull", Path("store"))

    monkeypatch.setattr("inference.detect_command.local_release", local_release)
    assert main(["detect", "--input", str(photographs)]) == 1
    assert "fetch one by pull" in capsys.readouterr().err


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


def test_an_output_that_cannot_be_made_is_an_error_before_the_model_is_loaded(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / "no release", photographs, tmp_path / "file" / "out") == 1
    assert "cannot be made" in capsys.readouterr().err


def test_a_disk_that_is_too_full_is_an_error_before_the_model_is_loaded(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outputs, "free_bytes", lambda path: 5 << 20)
    assert run(tmp_path / "no release", photographs, tmp_path / "out") == 1
    assert "has 5 MB free, and at least 16 MB will be needed" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_an_error_before_the_model_is_loaded(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    assert run(tmp_path / "no release", photographs, tmp_path / "out") == 1
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


def test_help_loads_neither_opencv_nor_pydantic() -> None:
    code = (
        "import sys; from inference.__main__ import main\n"
        "try: main(['detect', '--help'])\n"
        "except SystemExit: sys.exit(sorted({'cv2', 'pydantic', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
