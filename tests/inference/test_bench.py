"""`bench`: what it measures, and how much of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from inference import Detector
from inference.__main__ import main
from inference.bench import BenchReport, generated_images, measure
from inference.measuring import Timer, figures_text
from inference.times import StageTimes
from tests.inference.scenes import find_white_boxes, write_scene_release, write_scenes


@pytest.fixture
def release(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    return write_scene_release(tmp_path / "release", *write_scenes(tmp_path))


@pytest.fixture
def detector(release: Path) -> Iterator[Detector]:
    with Detector(release) as detector:
        yield detector


def ticks(step: float) -> Any:
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_whole_batches_are_measured_until_the_images_are_enough(sail: Any, detector: Detector) -> None:
    timer = measure(detector, generated_images(), images=10, seconds=1000, warm_up=3)
    assert (timer.images, len(timer.calls), len(sail.calls)) == (12, 3, 6)
    assert all(min(call.preprocess_s, call.infer_s, call.decode_s) > 0 for call in timer.calls)


def test_time_ends_it_too_but_never_before_one_call(detector: Detector) -> None:
    pictures = generated_images()
    assert len(measure(detector, pictures, images=10**9, seconds=0, warm_up=0).calls) == 1
    # A second passes at each look at the clock: once at the start, then once before each call but the first.
    assert len(measure(detector, pictures, images=10**9, seconds=5, warm_up=0, clock=ticks(1.0)).calls) == 5


def test_the_images_are_taken_round_and_round(sail: Any, detector: Detector) -> None:
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (0, 100, 200)]
    measure(detector, pictures, images=8, seconds=1000, warm_up=0)
    seen = np.concatenate([call["image"][:, 0, 32, 32] for call in sail.calls])
    assert np.unique(seen[:3]).size == 3
    np.testing.assert_array_equal(seen, np.resize(seen[:3], 8))


def test_generated_images_are_the_same_each_time_and_differ_from_each_other() -> None:
    first, second = generated_images(), generated_images()
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    assert first[0].shape == (720, 1280, 3) and not np.array_equal(first[0], first[1])


def test_figures_are_of_an_image_in_milliseconds() -> None:
    calls: List[StageTimes] = [StageTimes(4, 0.004, 0.4 + 0.04 * number, 0.008, 0.1) for number in range(21)]
    timer = Timer(calls)
    figures = timer.figures()
    assert figures["preprocess"].median_ms == pytest.approx(1)
    assert figures["infer"].median_ms == pytest.approx(200)
    assert figures["infer"].p95_ms == pytest.approx(290)
    assert figures["total"].median_ms == pytest.approx(228)
    assert timer.images_per_second() == pytest.approx(1 / 0.203)
    assert "infer      median    200.00 ms   p95    290.00 ms" in figures_text(figures)
    assert Timer([]).figures() == {} and Timer([]).images_per_second() == 0


def test_the_command_prints_and_writes_what_it_measured(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "--model", str(release), "--images", "8", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "on the sail of BM1684X; sha256:" in out
    assert "8 images of 4 generated images of 1280 x 720, 4 at once; ms an image:" in out
    report = BenchReport.model_validate_json(file.read_bytes())
    assert (report.images, report.images_per_call, report.setting.engine) == (8, 4, "sail")
    assert set(report.stages) == {"preprocess", "infer", "decode", "total"}
    assert report.images_per_second > 0 and report.load_s > 0


@pytest.mark.parametrize(("name", "words"), [("none/bench.json", "there is no folder"), ("", "it is a folder")])
def test_a_report_that_cannot_be_written_is_an_error_before_anything_is_measured(
    sail: Any, release: Path, tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--model", str(release), "--json", str(tmp_path / name)]) == 1
    shown = capsys.readouterr()
    assert words in shown.err and shown.out == "" and sail.loaded == []


def test_images_of_ones_own_are_used(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    assert main(["bench", "--model", str(release), "--input", str(images), "--images", "1", "--warm-up", "0"]) == 0
    assert f"4 images of {images}, 4 at once" in capsys.readouterr().out
    next(images.iterdir()).write_bytes(b"no image")
    assert main(["bench", "--model", str(release), "--input", str(images)]) == 1


@pytest.mark.parametrize("wrong", [["--images", "0"], ["--batch", "-1"], ["--engine", "cuda"], ["--images", "many"]])
def test_wrong_usage_is_refused(wrong: List[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        main(["bench", "--model", "x", *wrong])
    assert exit_status.value.code == 2


def test_a_batch_that_the_release_does_not_have_is_an_error(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", str(release), "--batch", "2"]) == 1
    assert "has no BM1684X batch 2" in capsys.readouterr().err


def test_the_report_is_plain_json(release: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    main(["bench", "--model", str(release), "--images", "1", "--json", str(file)])
    assert json.loads(file.read_bytes())["setting"]["model_digest"].startswith("sha256:")
