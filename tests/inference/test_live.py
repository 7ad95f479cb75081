"""Live sources: the newest frames, again after every interruption."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import pytest

from inference.errors import SourceError
from inference.live import LiveSource, Patience, file_stem, open_live, without_secrets
from inference.sources import Pending
from tests.inference.videos import number_of, picture, write_video

QUICK = Patience(first_attempts=3, pause_s=0.001, longest_pause_s=0.004, outage_s=20.0)


class ScriptedCapture:
    """Gives frames by their numbers, then an end; ``None`` waits for the test's word."""

    def __init__(self, script: Sequence[Optional[int]], *, opened: bool = True, count: float = -1.0) -> None:
        self.go = threading.Event()
        self.waiting = threading.Event()
        self.released = False
        self._script = list(script)
        self._opened = opened
        self._count = count

    def isOpened(self) -> bool:
        return self._opened

    def read(self) -> Tuple[bool, Any]:
        while self._script:
            number = self._script.pop(0)
            if number is not None:
                return True, picture(number)
            self.waiting.set()
            assert self.go.wait(10)
        return False, None

    def get(self, propId: int) -> float:
        return {cv2.CAP_PROP_FPS: 12.0, cv2.CAP_PROP_FRAME_COUNT: self._count}.get(propId, 0.0)

    def release(self) -> None:
        self.released = True


def opener(*captures: ScriptedCapture) -> Callable[[], ScriptedCapture]:
    """Opens one after the other, and then none any more."""
    left = list(captures)
    return lambda: left.pop(0) if left else ScriptedCapture([], opened=False)


def numbers(frames: Sequence[Pending]) -> List[int]:
    images = [pending().image for pending in frames]
    return [number_of(image) for image in images if isinstance(image, np.ndarray)]


def drained(source: LiveSource, limit: int) -> List[Pending]:
    """All that a source gives until its end."""
    return [pending for group in iter(lambda: source.take(limit), []) for pending in group]


def test_old_frames_make_way_and_are_counted() -> None:
    capture = ScriptedCapture([0, 1, 2, 3, 4, None])
    source = LiveSource("door", opener(capture), patience=QUICK)
    source._start()
    assert capture.waiting.wait(10)
    (newest,) = source.take(1)
    assert (newest().index, newest().name, number_of(np.asarray(newest().image))) == (4, "door#5", 4)
    assert (source.dropped, source.fps, source.live) == (4, 12.0, True)
    capture.go.set()
    source.close()
    assert capture.released


def test_a_batch_gets_the_newest_frames_and_never_waits_for_more_than_one() -> None:
    capture = ScriptedCapture([0, None, 1, 2, 3, 4, 5])
    source = LiveSource("door", opener(capture), patience=QUICK)
    assert numbers(source.take(4)) == [0]
    capture.go.set()
    deadline = time.monotonic() + 10
    while source._count < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert numbers(source.take(4)) == [2, 3, 4, 5]
    assert source.dropped == 1
    source.close()


def test_times_are_those_since_the_first_frame() -> None:
    source = LiveSource("door", opener(ScriptedCapture([0, 1])), patience=QUICK)
    first = source.take(1)[0]().time_s
    assert first is not None and 0 <= first < 10
    source.close()


def test_an_interrupted_stream_is_opened_again_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    captures = [ScriptedCapture([number, None]) for number in range(3)]
    source = LiveSource("rtsp://door/main", opener(*captures), patience=QUICK)
    for number, capture in enumerate(captures):
        (frame,) = source.take(1)
        assert (frame().index, number_of(np.asarray(frame().image))) == (number, number)
        capture.go.set()
    source.close()
    assert all(capture.released for capture in captures)
    assert "rtsp://door/main gives no frames any more: it is opened again in 0.0 s (attempt 2)" in caplog.text


def test_a_stream_that_never_opens_is_given_up_after_some_attempts() -> None:
    opened: List[int] = []

    def open_none() -> ScriptedCapture:
        opened.append(1)
        return ScriptedCapture([], opened=False)

    source = LiveSource("rtsp://door/main", open_none, patience=QUICK)
    with pytest.raises(SourceError, match=r"rtsp://door/main cannot be opened \(3 attempts\)"):
        source.take(1)
    assert len(opened) == 3
    source.close()


def test_a_stream_that_hangs_is_given_up_after_the_longest_outage() -> None:
    capture = ScriptedCapture([None])
    source = LiveSource("door", opener(capture), patience=QUICK._replace(outage_s=0.05))
    with pytest.raises(SourceError, match=r"gave no frame for 0\.05 s"):
        source.take(1)
    capture.go.set()
    source.close()


def test_an_error_of_opencv_counts_as_an_interruption() -> None:
    class Failing(ScriptedCapture):
        def read(self) -> Tuple[bool, Any]:
            raise cv2.error("broken packet")

    good = ScriptedCapture([7, None])
    source = LiveSource("door", opener(Failing([]), good), patience=QUICK)
    assert numbers(source.take(1)) == [7]
    good.go.set()
    source.close()


def test_any_other_error_comes_out_where_frames_are_taken() -> None:
    def open_badly() -> ScriptedCapture:
        raise MemoryError("no buffers")

    source = LiveSource("door", open_badly, patience=QUICK)
    with pytest.raises(MemoryError):
        source.take(1)


def test_who_waits_for_a_frame_can_be_interrupted() -> None:
    capture = ScriptedCapture([None])
    source = LiveSource("door", opener(capture), patience=QUICK)
    taken: List[object] = []
    thread = threading.Thread(target=lambda: taken.append(source.take(1)))
    thread.start()
    assert capture.waiting.wait(10)
    source.interrupt()
    thread.join(10)
    capture.go.set()
    source.close()
    assert taken == [[]] and source.take(1) == []


def test_the_limit_ends_a_live_source() -> None:
    source = LiveSource("door", opener(ScriptedCapture([0, 1, 2, 3])), limit=2, patience=QUICK)
    assert len(drained(source, 4)) == 2
    source.close()


def test_a_file_behind_a_url_drops_nothing_and_ends() -> None:
    capture = ScriptedCapture(range(10), count=10.0)
    source = LiveSource("http://door/x.mp4", opener(capture), may_end=True, patience=QUICK)
    assert numbers(drained(source, 2)) == list(range(10)) and (source.dropped, source.total) == (0, 10)
    source.close()


def test_names_hold_no_secrets_and_can_be_file_names() -> None:
    assert without_secrets("rtsp://user:pass@door:554/main?token=abc") == "rtsp://door:554/main"
    assert file_stem("rtsp://door:554/main/1") == "door_554_main_1"
    assert file_stem("camera:0") == "camera_0"
    assert file_stem("rtsp://../..") == "stream"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves a video file, and a camera of the kind that sends JPEG after JPEG and breaks off after five."""
    video = write_video(tmp_path / "served.mp4", 6).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path.startswith("/video"):
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Content-Length", str(len(video)))
                self.end_headers()
                self.wfile.write(video)
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(5):
                data = cv2.imencode(".jpg", picture(number))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")

        def log_message(self, *arguments: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_camera_over_http_is_read_again_and_again(server: str) -> None:
    source = open_live(f"{server}/camera?token=abc", limit=12, patience=QUICK)
    found = [pending() for pending in drained(source, 16)]
    source.close()
    assert len(found) == 12 and found[0].name == f"{server}/camera#1"
    assert [number_of(np.asarray(frame.image)) for frame in found[:5]] == [0, 1, 2, 3, 4]
    assert {number_of(np.asarray(frame.image)) for frame in found[5:]} <= {0, 1, 2, 3, 4}


def test_a_video_over_http_is_read_once_and_whole(server: str) -> None:
    source = open_live(f"{server}/video.mp4")
    found = numbers(drained(source, 2))
    source.close()
    assert found == [0, 1, 2, 3, 4, 5] and source.dropped == 0
