"""Cameras and network streams: the newest frames, again after every interruption."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from functools import partial
from typing import Callable, Deque, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from inference.errors import SourceError
from inference.sources import Frame, Pending
from inference.video import Capture, frame_count, frame_rate

LOG = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0


class Patience(NamedTuple):
    """How long a live source is waited for.

    Attributes:
        first_attempts: How often a source that never gave a frame is opened.
        pause_s: The wait before the second attempt, and after the first interruption; it doubles from attempt to
            attempt.
        longest_pause_s: The wait grows no further than this.
        outage_s: The longest time without a frame.
    """

    first_attempts: int = 3
    pause_s: float = 0.5
    longest_pause_s: float = 30.0
    outage_s: float = 300.0


PATIENCE = Patience()


class LiveSource:
    """The newest frames of a capture that is read all the time, in a thread of its own.

    Frames that nobody took make way for newer ones: as many are kept as were asked for the last time. A capture that
    ends or fails is opened again, with growing pauses. Where it may be a file behind a URL, and says how many frames it
    has, it waits, drops nothing and ends.

    Attributes:
        name: What it is called, without passwords.
        fps: Frames a second as the capture states them.
        total: How many frames a file behind a URL has, or the limit.
        dropped: How many frames made way.
    """

    live = True
    files = None

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], Capture],
        *,
        limit: Optional[int] = None,
        may_end: bool = False,
        patience: Patience = PATIENCE,
    ) -> None:
        """Open nothing yet: the first `take` does.

        Args:
            name: What it is called, without passwords.
            open_capture: Opens it once; does not raise.
            limit: The most frames to give.
            may_end: Whether it may be a file, which it is when it says how many frames it has.
            patience: How long to wait for it.
        """
        self.name = name
        self.fps: Optional[float] = None
        self.total = limit
        self.dropped = 0
        self._open_capture = open_capture
        self._left = limit
        self._may_end = may_end
        self._patience = patience
        self._kept: Deque[Tuple[int, np.ndarray, float]] = deque(maxlen=1)
        self._changed = threading.Condition()
        self._interrupted = False
        self._ended = False
        self._finite = False
        self._error: Optional[BaseException] = None
        self._count = 0
        self._first_s = 0.0
        self._thread: Optional[threading.Thread] = None

    def take(self, limit: int) -> List[Pending]:
        """The newest frames; see `inference.sources.Source.take`."""
        limit = limit if self._left is None else min(limit, self._left)
        with self._changed:
            self._keep(limit)
            self._start()
            while not (self._kept or self._interrupted or self._ended or self._error):
                seen = self._count
                if not self._changed.wait(self._patience.outage_s) and seen == self._count:
                    raise SourceError(f"{self.name} gave no frame for {self._patience.outage_s:g} s", self.name)
            if self._error and not self._kept:
                raise self._error
            taken = [] if self._interrupted else list(self._kept)[:limit]
            self._kept.clear()
            self._changed.notify_all()
        if self._left is not None:
            self._left -= len(taken)
        return [partial(Frame, index, f"{self.name}#{index + 1}", image, time_s) for index, image, time_s in taken]

    def interrupt(self) -> None:
        """Let `take` come back; see `inference.sources.Source.interrupt`."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, which may take as long as a read that times out."""
        self.interrupt()
        if self._thread is not None:
            self._thread.join(OPEN_TIMEOUT_S + READ_TIMEOUT_S)

    def _keep(self, limit: int) -> None:
        if self._kept.maxlen != max(limit, 1):
            self._kept = deque(self._kept, maxlen=max(limit, 1))
        if limit == 0:
            self._ended = True

    def _start(self) -> None:
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._grab, name="centernet-grab", daemon=True)
            self._thread.start()

    def _grab(self) -> None:
        try:
            self._grab_all()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _grab_all(self) -> None:
        """Read frames, opening again and again, until there is an end."""
        failures = 0
        while not self._interrupted:
            before = self._count
            capture = self._open_capture()
            opened = capture.isOpened()
            try:
                if opened:
                    self._read_all(capture)
            finally:
                capture.release()
            if self._finite and self._count:
                break
            failures = 1 if self._count > before else failures + 1
            what = "gives no frames any more" if opened else "cannot be opened"
            if self._count == 0 and failures >= self._patience.first_attempts:
                raise SourceError(
                    f"{self.name} {what} ({failures} attempts). Check the address and the way to it", self.name
                )
            self._pause(what, failures)

    def _read_all(self, capture: Capture) -> None:
        self.fps = frame_rate(capture)
        count = frame_count(capture)
        self._finite = self._may_end and count is not None
        if self._finite and self.total is None:
            self.total = count
        while not self._interrupted:
            try:
                readable, image = capture.read()
            except cv2.error:
                return
            if not readable:
                return
            self._offer(image)

    def _offer(self, image: np.ndarray) -> None:
        now = time.monotonic()
        with self._changed:
            if self._count == 0:
                self._first_s = now
            if self._finite:
                self._changed.wait_for(lambda: self._interrupted or len(self._kept) < (self._kept.maxlen or 1))
            if len(self._kept) == self._kept.maxlen:
                self.dropped += 1
            self._kept.append((self._count, image, now - self._first_s))
            self._count += 1
            self._changed.notify_all()

    def _pause(self, what: str, failures: int) -> None:
        pause = min(self._patience.pause_s * 2 ** (failures - 1), self._patience.longest_pause_s)
        LOG.warning("%s %s: it is opened again in %.1f s (attempt %d)", self.name, what, pause, failures + 1)
        with self._changed:
            self._changed.wait_for(lambda: self._interrupted, pause)


def open_live(text: str, *, limit: Optional[int] = None, patience: Patience = PATIENCE) -> LiveSource:
    """Make a source of a camera or a network stream.

    Args:
        text: ``camera:N``, ``/dev/videoN`` or a URL.
        limit: The most frames to give.
        patience: How long to wait for it.
    """
    name, may_end = text, False
    open_capture: Callable[[], Capture] = partial(cv2.VideoCapture, text)
    if text.startswith("camera:"):
        open_capture = partial(cv2.VideoCapture, int(text.partition(":")[2]))
    elif not text.startswith("/dev/"):
        open_capture = partial(_open_stream, text)
        name, may_end = without_secrets(text), text.lower().startswith("http")
    return LiveSource(name, open_capture, limit=limit, may_end=may_end, patience=patience)


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_stem(name: str) -> str:
    """A source's name as part of a file name: ``rtsp://door.example:554/main`` becomes ``door.example_554_main``.

    Args:
        name: The name of a live source.
    """
    bare = name.split("://", 1)[-1]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", bare).strip("._") or "stream"


def _open_stream(url: str) -> cv2.VideoCapture:
    # The OpenCV of older SDKs (4.1) has no time-outs; then only the longest outage bounds the wait.
    if not hasattr(cv2, "CAP_PROP_READ_TIMEOUT_MSEC"):
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    times = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_S), (cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_S)
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, [number for name, s in times for number in (name, int(s * 1000))])
