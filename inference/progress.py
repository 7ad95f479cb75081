"""One line that tells how far the work is, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import Optional, TextIO

_EVERY_S = 0.2

# ECMA-48: back to the first column, then erase to the end of the line.
_CLEAR = "\r\x1b[K"


class Progress:
    """Counts images, and shows it where somebody looks."""

    def __init__(self, total: Optional[int], stream: Optional[TextIO] = None) -> None:
        """Start the clock.

        Args:
            total: How many images there should be; None where nobody knows.
            stream: Where the line goes if it is a terminal; None takes standard error.
        """
        self.done = 0
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._started = time.monotonic()
        self._next = self._started

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def step(self) -> None:
        """Count one more."""
        self.done += 1
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            self._stream.write(_CLEAR + progress_text(self.done, self._total, self.seconds))
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, because something else is to be written."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._next = 0.0


def progress_text(done: int, total: Optional[int], seconds: float) -> str:
    """How far the work is: ``17/200 images, 12.5 images/s, 0:14 left``.

    Args:
        done: Images done.
        total: How many there should be; None where nobody knows.
        seconds: Time passed.
    """
    rate = done / seconds if seconds > 0 else 0.0
    counted = f"{done} images" if total is None else f"{done}/{total} images"
    text = f"{counted}, {rate:.1f} images/s"
    if total is None or not rate or done > total:
        return text
    left = round((total - done) / rate)
    hours, minutes = divmod(left // 60, 60)
    return f"{text}, " + (f"{hours}:{minutes:02}:{left % 60:02} left" if hours else f"{minutes}:{left % 60:02} left")
