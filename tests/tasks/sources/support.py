"""What the download tests share: options that never wait, and sources made from bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from tasks.sources.meter import Tally
from tasks.sources.model import Options, Source
from tasks.sources.pace import Clock, Job

QUICK = Options(backoff_s=1.0, connect_timeout_s=20.0, read_timeout_s=20.0, reserve=0, progress=False)
# For servers that fall silent. Not for all: on a busy machine an honest server is silent for a moment, too.
HASTY = QUICK.model_copy(update={"read_timeout_s": 1.0})


class Waits:
    """A clock that goes on by itself only as far as it is asked to wait, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._now = 0.0

    def wait(self, _: threading.Event, seconds: float) -> None:
        self.seconds.append(seconds)
        self._now += seconds

    def clock(self, monotonic: Callable[[], float] | None = None) -> Clock:
        return Clock(monotonic=monotonic or (lambda: self._now), epoch=lambda: 0.0, wait=self.wait, random=lambda: 1.0)


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def source_of(content: bytes, *mirrors: str, name: str = "weights", size: bool = True) -> Source:
    return Source(name=name, mirrors=mirrors, size=len(content) if size else None, digest=sha256(content))


def job_with(options: Options = QUICK) -> Job:
    return Job(options, Waits().clock(), Tally())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
