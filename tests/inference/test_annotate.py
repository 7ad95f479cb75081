"""Drawing and writing behind the detector's back."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import List

import numpy as np
import pytest

from inference.annotate import Annotator, annotated_pictures, annotated_video
from inference.decode import Detections
from inference.errors import OutputError
from inference.images import read_image
from inference.sources import Given
from inference.stream import Result
from inference.video import Video
from tests.inference.videos import number_of, picture

NAMES = ["cat"]


def result(index: int, name: str = "") -> Result:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    return Result(index, name or f"{index}.png", picture(index), nothing, None)


def test_pictures_have_the_name_and_the_format_of_the_image(tmp_path: Path) -> None:
    annotator = annotated_pictures(tmp_path, NAMES)
    for index, name in enumerate(("a.png", "b.JPG", "c.bmp", "d")):
        annotator.add(result(index, name))
    annotator.close()
    annotator.close()
    starts = {path.name: path.read_bytes()[:3] for path in tmp_path.iterdir()}
    assert starts == {
        "a.png": b"\x89PN",
        "b.JPG": b"\xff\xd8\xff",
        "c.bmp": b"BM" + starts["c.bmp"][2:],
        "d": b"\xff\xd8\xff",
    }
    assert read_image(tmp_path / "a.png").shape == (64 * 6, 96 * 6, 3)
    assert annotator.draw_s > 0 and annotator.write_s > 0


def test_a_video_keeps_the_time_where_frames_are_missing(tmp_path: Path) -> None:
    annotator = annotated_video(tmp_path / "out.mp4", Given("camera:0", [], fps=10.0), NAMES)
    for index in (4, 5, 8):
        annotator.add(result(index))
    annotator.close()
    frames = [number_of(np.asarray(pending().image)) for pending in Video(tmp_path / "out.mp4")]
    assert frames == [4, 5, 8, 8, 8]


def test_one_thread_keeps_the_order() -> None:
    written: List[int] = []

    def write(result: Result, picture: np.ndarray) -> None:
        time.sleep(0.005 * (result.index == 0))
        written.append(result.index)

    annotator = Annotator(NAMES, write)
    for index in range(10):
        annotator.add(result(index))
    annotator.close()
    assert written == list(range(10))


def test_whoever_is_too_quick_waits_for_the_writer() -> None:
    gate, added = threading.Event(), []

    def write(result: Result, picture: np.ndarray) -> None:
        assert gate.wait(20)

    annotator = Annotator(NAMES, write)

    def add() -> None:
        for index in range(10):
            annotator.add(result(index))
            added.append(index)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join(0.1)
    assert len(added) <= 3
    gate.set()
    thread.join(20)
    annotator.close()
    assert len(added) == 10


def test_what_cannot_be_written_is_an_error_for_whoever_adds_or_closes(tmp_path: Path) -> None:
    annotator = annotated_pictures(tmp_path / "missing", NAMES)
    with pytest.raises(OutputError, match="cannot be written"):
        for index in range(100):
            annotator.add(result(index))
    with pytest.raises(OutputError):
        annotator.close()


def test_the_end_is_reached_also_after_an_error() -> None:
    closed: List[int] = []

    def fail(result: Result, picture: np.ndarray) -> None:
        raise OutputError("full", Path("x"))

    annotator = Annotator(NAMES, fail, close=lambda: closed.append(1))
    annotator.add(result(0))
    with pytest.raises(OutputError):
        annotator.close()
    assert closed == [1]


def test_a_picture_that_its_format_cannot_hold_is_an_error_that_names_it(tmp_path: Path) -> None:
    annotator = annotated_pictures(tmp_path, NAMES)
    large = result(0, "wide.jpg")
    annotator.add(Result(0, "wide.jpg", np.zeros((2, 70_000, 3), np.uint8), large.detections, None))
    with pytest.raises(OutputError, match=r"wide\.jpg cannot be encoded"):
        annotator.close()
