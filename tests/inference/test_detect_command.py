"""The command ``detect``: exit status, what it writes, and what it says, over an engine in memory."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from inference.__main__ import main
from inference.images import read_image
from inference.live import LiveSource
from inference.video import Video
from tests.inference.detecting import names, results, run
from tests.inference.engine_in_memory import SPEC, VARIANT, EngineInMemory
from tests.inference.releases import write_release
from tests.inference.test_live import ScriptedCapture, opener
from tests.inference.videos import index_first, write_video

pytestmark = pytest.mark.usefixtures("engine", "no_thread_is_left")


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
    assert "on the memory of BM1688; sha256:" in said and "models that fit" not in said
    assert f"3 detections in 3 images; pictures and detections.json are in {output}" in said
    for stage in ("read", "preprocess", "infer", "decode", "draw", "write"):
        assert f"{stage} " in said
    assert re.search(r"end to end: [\d.]+ s, [\d.]+ ms an image, [\d.]+ images/s", said)


def test_a_single_image_will_do(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs / "7.BMP", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["7.BMP", "detections.json"]


def test_a_score_of_fp32_is_translated_and_said(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = write_release(
        tmp_path / "release", {VARIANT: b"x"}, spec=SPEC, matching_scores=[(0.35, 0.31), (0.5, 0.5)]
    )
    assert run(release, photographs, tmp_path / "out", "--match-fp32") == 0
    assert "score 0.35 of fp32 is 0.3100 of this model: both find as many objects" in capsys.readouterr().out


def test_a_release_without_such_scores_stops_before_anything_is_written(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(release, photographs, tmp_path / "out", "--match-fp32") == 1
    assert "does not say which scores" in capsys.readouterr().err and names(tmp_path / "out") == []


def test_without_an_output_what_is_found_is_printed(
    release: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(photographs)
    assert main(["detect", "--model", str(release), "--input", str(photographs)]) == 0
    said = capsys.readouterr().out
    assert "000000000139.jpg: 1 dog\n" in said and "7.BMP: 1 dog\n" in said
    assert names(photographs) == before


def test_the_vendors_format_is_written_on_request_and_pictures_are_left_out(
    release: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(release, photographs, tmp_path / "out", "--vendor-json", "--no-pictures") == 0
    name = "centernet_int8_2b.bmodel_photographs_opencv_python_result.json"
    assert names(tmp_path / "out") == [name, "detections.json"]
    assert f"; detections.json is in {tmp_path / 'out'}" in capsys.readouterr().out
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
    shown = capsys.readouterr().out
    assert f"9 detections in 9 frames; a video and detections.json are in {tmp_path / 'out'}" in shown


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


def test_the_score_threshold_is_passed_on(release: Path, photographs: Path, tmp_path: Path) -> None:
    assert run(release, photographs, tmp_path / "out", "--conf", "0.99") == 0
    assert results(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("others", "ways"),
    [
        ([{"batch": 4}], "name another by --batch"),
        ([{"batch": 4}, {"precision": "fp16"}, {"cores": 2}], "name another by --precision, --batch"),
        ([{"cores": 2}], "name another by its file, by --model"),
    ],
)
def test_a_choice_among_several_models_is_told_with_the_ways_to_another(
    photographs: Path, tmp_path: Path, others: List[Any], ways: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fitting = [VARIANT, *(VARIANT.model_copy(update=other) for other in others)]
    release = write_release(tmp_path / "several", {one: one.path.encode() for one in fitting}, spec=SPEC)
    assert main(["detect", "--model", str(release), "--input", str(photographs), "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert f"chosen among {len(fitting)} models that fit: float before raw" in shown and f"{ways}\n" in shown
    file = release / VARIANT.path
    assert main(["detect", "--model", str(file), "--input", str(photographs), "--limit", "1"]) == 0
    assert "models that fit" not in capsys.readouterr().out


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
