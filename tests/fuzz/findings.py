"""What a run finds: each kind of failure once, by the smallest input that shows it."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("artifacts", "inference", "settings", "tasks")


class Findings:
    """Failures of one target, written into a folder as they come.

    Attributes:
        slowest: The longest time that one input took, seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._smallest: dict[str, int] = {}
        self.slowest = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def watch(self, run: Callable[[bytes], None], data: bytes) -> None:
        """Run a target on an input; what comes out of it is noted, and goes no further.

        Args:
            run: The target.
            data: The input.
        """
        started = time.perf_counter()
        try:
            run(data)
        except Exception as error:
            self._note(error, data)
        took = time.perf_counter() - started
        if took > self.slowest:
            self.slowest = took
            (self._folder / "slowest").write_bytes(data)

    def _note(self, error: Exception, data: bytes) -> None:
        told = signature(error)
        if len(data) >= self._smallest.get(told, len(data) + 1):
            return
        self._smallest[told] = len(data)
        name = hashlib.sha256(told.encode()).hexdigest()[:12]
        (self._folder / f"{name}.input").write_bytes(data)
        lines = traceback.format_exception(error)
        (self._folder / f"{name}.txt").write_text(f"{told}\n\n{''.join(lines[:40])[:20_000]}", errors="replace")


def signature(error: BaseException) -> str:
    """Name a failure by its kind and by the innermost line of ours that it passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)]
    where = f"{Path(frames[-1].filename).resolve().relative_to(ROOT)}:{frames[-1].lineno}" if frames else "elsewhere"
    return f"{type(error).__name__} at {where}"


def _is_ours(name: str) -> bool:
    path = Path(name).resolve()
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in (*_OURS, "tests")
