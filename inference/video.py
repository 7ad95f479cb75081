"""Video files: reading them frame by frame, and writing annotated ones."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Optional, Protocol, Tuple

import cv2
import numpy as np

from artifacts.files import free_bytes, staged
from inference.errors import ImageError, OutputError, SourceError
from inference.images import MAX_PIXELS
from inference.output_files import output_errors
from inference.sources import Frame, Pending

DEFAULT_FPS = 25.0

# How many frames fewer than announced are no damage: Matroska and MPEG-TS state no count, and OpenCV estimates one from
# duration and rate; edit lists of MP4 hide frames that its tables count.
_TOLERATED_SHARE = 0.01

_MPEG4 = int.from_bytes(b"mp4v", "little")
"""MPEG-4 part 2 as OpenCV numbers codecs."""

_SPACE_CHECK_EVERY = 32
_SPACE_RESERVE = 8 * 1024 * 1024


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool: ...
    def read(self) -> Tuple[bool, Any]: ...
    def get(self, propId: int) -> float: ...
    def release(self) -> None: ...


class Video:
    """The frames of a video file, in order, decoded by OpenCV's FFmpeg as they are asked for.

    A file that was cut short gives what can be decoded, and then one frame that is an error and says how much is
    missing.

    Attributes:
        fps: Frames a second; None where the file does not say.
        total: How many frames the file announces; None where it announces none.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SourceError: It is no video that OpenCV can read, or its pictures are too large.
        """
        self._path = path
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(
                f"{path} is neither a JPEG, PNG or BMP image nor a video that this OpenCV can read. If it should be a "
                "video, it may have been cut short (an MP4 file has its index at the end: copy it again) or be coded "
                "in a way that this OpenCV was built without",
                path.name,
            )
        width, height = (self._number(name) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise SourceError(
                f"{path} has frames of {width:.0f} x {height:.0f} pixels; at most {MAX_PIXELS} pixels are decoded. It "
                "is damaged, or made to exhaust memory",
                path.name,
            )
        self.fps = frame_rate(self._capture)
        self.total = frame_count(self._capture)

    def __iter__(self) -> Iterator[Pending]:
        index = 0
        try:
            while True:
                started = time.perf_counter()
                readable, image = self._capture.read()
                if not readable:
                    break
                name, taken_s = f"{self._path.name}#{index + 1}", time.perf_counter() - started
                yield partial(Frame, index, name, image, self._time(index), taken_s)
                index += 1
        finally:
            self._capture.release()
        if self.total is not None and index < self.total - max(1, int(self.total * _TOLERATED_SHARE)):
            error = ImageError(
                f"the video {self._path} ends early: {index} of the {self.total} frames that it announces could be "
                "decoded. It was cut short or is damaged: copy it again",
                self._path,
            )
            yield partial(Frame, index, f"{self._path.name}#{index + 1}", error)

    def _time(self, index: int) -> Optional[float]:
        """When the frame that was just read is shown, in seconds."""
        position = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
        if position > 0 or index == 0:
            return position
        return index / self.fps if self.fps else None

    def _number(self, name: int) -> float:
        value = self._capture.get(name)
        return value if math.isfinite(value) and value > 0 else 0.0


def frame_rate(capture: Capture) -> Optional[float]:
    """Frames a second as an open capture states them, or None where it states nothing sensible."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return float(fps) if math.isfinite(fps) and 0 < fps <= 1000 else None


def frame_count(capture: Capture) -> Optional[int]:
    """The number of frames that an open capture announces, or None where it announces none."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 2**31 else None


class VideoFile:
    """An MP4 file (MPEG-4 part 2) being written: under its name only when closed, and whole then.

    Its size is that of the first picture, without the last column or row where that is odd.

    Attributes:
        path: Its name in the end.
        frames: How many frames were written so far.
    """

    def __init__(self, path: Path, fps: Optional[float] = None) -> None:
        """Write nothing yet.

        Args:
            path: The final name, ending in ``.mp4``.
            fps: Frames a second; None takes 25.
        """
        self.path = path
        self.frames = 0
        self._fps = fps or DEFAULT_FPS
        self._stack = ExitStack()
        self._writer: Optional[cv2.VideoWriter] = None
        self._size = (0, 0)

    def write(self, picture: np.ndarray, times: int = 1) -> None:
        """Add a picture.

        Args:
            picture: uint8 [H, W, 3], BGR; scaled to the size of the first one.
            times: For how many frames it is shown.

        Raises:
            OutputError: The disk is full or cannot be written, or OpenCV cannot write such videos.
        """
        writer = self._writer or self._open(picture)
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        for _ in range(times):
            if self.frames % _SPACE_CHECK_EVERY == 0:
                self._check_space()
            writer.write(picture)
            self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name; without a frame there is none. May be called twice.

        Raises:
            OutputError: What was written is no whole video.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with output_errors(self.path), self._stack:
            writer.release()
            self._check_whole()

    def _open(self, picture: np.ndarray) -> cv2.VideoWriter:
        self._size = (picture.shape[1], picture.shape[0])
        with output_errors(self.path), ExitStack() as stack:
            self._part = stack.enter_context(staged(self.path))
            writer = cv2.VideoWriter(str(self._part.absolute()), cv2.CAP_FFMPEG, _MPEG4, self._fps, self._size)
            if not writer.isOpened():
                raise OutputError(
                    f"{self.path} cannot be written: this OpenCV does not write MPEG-4 video of {self._size[0]} x "
                    f"{self._size[1]} pixels at {self._fps:g} frames a second. --no-pictures goes without it",
                    self.path,
                )
            self._stack = stack.pop_all()
        self._writer = writer
        return writer

    def _check_space(self) -> None:
        # FFmpeg's writer says nothing when the disk is full.
        free = free_bytes(self._part)
        if free is not None and free < _SPACE_RESERVE:
            raise OutputError(f"{self.path} cannot be continued: the disk is full. Free some space", self.path)

    def _check_whole(self) -> None:
        capture = cv2.VideoCapture(str(self._part.absolute()), cv2.CAP_FFMPEG)
        count = frame_count(capture) if capture.isOpened() else None
        capture.release()
        if count != self.frames:
            raise OutputError(
                f"{self.path} was not written whole: {count or 0} of {self.frames} frames are in it. Is the disk full?",
                self.path,
            )
