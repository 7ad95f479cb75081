"""What is counted while a download runs."""

from __future__ import annotations

import threading
from typing import Protocol

_STEP = 1000.0


class Meter(Protocol):
    """Something that is told how a download gets on; may be called from several threads."""

    def begin(self, have: int, total: int | None) -> None:
        """A file starts, or starts over, with so many of its bytes here already."""

    def advance(self, count: int) -> None:
        """So many bytes came."""

    def finish_file(self) -> None:
        """One file is in place."""


class Tally:
    """Counts what came, and shows nothing."""

    def __init__(self) -> None:
        self.received = 0
        self.files = 0
        self._lock = threading.Lock()

    def begin(self, have: int, total: int | None) -> None:
        """See `Meter`: what was here already is not counted."""

    def advance(self, count: int) -> None:
        """See `Meter`."""
        with self._lock:
            self.received += count

    def finish_file(self) -> None:
        """See `Meter`."""
        with self._lock:
            self.files += 1


def human(count: float) -> str:
    """Return a number of bytes as text with few digits, in powers of 1000."""
    if count < _STEP:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= _STEP
        if count < _STEP:
            return f"{count:.1f} {unit}"
    return f"{count / _STEP:.1f} GB"
