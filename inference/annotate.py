"""Annotated pictures and videos, drawn and written behind the detector's back."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Callable, Deque, Optional, Sequence, Tuple

import cv2
import numpy as np

from inference.draw import draw
from inference.errors import OutputError
from inference.output_files import write_whole
from inference.sources import IMAGE_SUFFIXES, Source
from inference.stream import Result
from inference.video import VideoFile

_PICTURE_THREADS = 4
_AHEAD = 2
"""Pictures waiting for each thread; whoever adds more waits."""


class Annotator:
    """Draws results and has them written, by threads of its own; one thread keeps the order.

    Attributes:
        draw_s: Seconds spent drawing, summed over the threads.
        write_s: Seconds spent encoding and writing, likewise.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        write: Callable[[Result, np.ndarray], None],
        *,
        threads: int = 1,
        enlarge: bool = False,
        close: Optional[Callable[[], None]] = None,
    ) -> None:
        """Start nothing yet.

        Args:
            class_names: The name of each class id.
            write: Writes the picture of a result: uint8 [H, W, 3] BGR.
            threads: How many draw and write.
            enlarge: Whether small pictures grow.
            close: What to do at the end.
        """
        self.draw_s = 0.0
        self.write_s = 0.0
        self._class_names = class_names
        self._write = write
        self._enlarge = enlarge
        self._close = close
        self._most = threads * (1 + _AHEAD)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="centernet-draw")
        self._running: Deque[Future[Tuple[float, float]]] = deque()

    def add(self, result: Result) -> None:
        """Hand over one result, and wait where too many are not written yet.

        Raises:
            OutputError: This or an earlier one cannot be written.
        """
        while len(self._running) >= self._most:
            self._finish_one()
        self._running.append(self._pool.submit(self._annotate, result))

    def close(self) -> None:
        """Wait until all is written. May be called twice.

        Raises:
            OutputError: Something cannot be written.
        """
        try:
            while self._running:
                self._finish_one()
        finally:
            self._pool.shutdown(wait=True)
            close, self._close = self._close, None
            if close is not None:
                close()

    def _finish_one(self) -> None:
        draw_s, write_s = self._running.popleft().result()
        self.draw_s += draw_s
        self.write_s += write_s

    def _annotate(self, result: Result) -> Tuple[float, float]:
        started = time.perf_counter()
        picture = draw(result.image, result.detections, self._class_names, enlarge=self._enlarge)
        drawn = time.perf_counter()
        self._write(result, picture)
        return drawn - started, time.perf_counter() - drawn


def annotated_pictures(folder: Path, class_names: Sequence[str]) -> Annotator:
    """An annotator that writes a picture for each result, under its name and in its format.

    Args:
        folder: It exists.
        class_names: The name of each class id.
    """
    return Annotator(class_names, partial(_write_picture, folder), threads=_PICTURE_THREADS, enlarge=True)


def annotated_video(path: Path, source: Source, class_names: Sequence[str]) -> Annotator:
    """An annotator that writes a video of the results, of the source's size and rate.

    A frame that a live source dropped is filled in by the one after it, so that the video keeps the time.

    Args:
        path: The video, ending in ``.mp4``.
        source: Where the frames come from.
        class_names: The name of each class id.
    """
    video: Optional[VideoFile] = None
    following = 0

    def write(result: Result, picture: np.ndarray) -> None:
        nonlocal video, following
        if video is None:
            # Not before: a live source knows its rate when it is open.
            video, following = VideoFile(path, source.fps), result.index
        video.write(picture, times=result.index - following + 1)
        following = result.index + 1

    def close() -> None:
        if video is not None:
            video.close()

    return Annotator(class_names, write, close=close)


def _write_picture(folder: Path, result: Result, picture: np.ndarray) -> None:
    path = folder / result.name
    suffix = path.suffix.lower()
    try:
        encoded, data = cv2.imencode(suffix if suffix in IMAGE_SUFFIXES else ".jpg", picture)
    except cv2.error as error:
        raise OutputError(f"the annotated picture {path} cannot be encoded: {error}", path) from error
    if not encoded:
        raise OutputError(f"the annotated picture {path} cannot be encoded", path)
    write_whole(path, data.tobytes())
