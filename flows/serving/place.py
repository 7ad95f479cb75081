"""Where a running service is known by: a lock that only it holds, and beside it what it says of itself.

The kernel frees the lock with the last process that holds it. A file that a crash or a power cut left behind means
nothing without the lock, so that no process id is ever believed after a reboot.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from artifacts.files import atomic_write, storage_errors
from artifacts.flocks import is_locked
from flows.serving.plan import Plan

Phase = Literal["starting", "ready", "failed"]


class Status(BaseModel):
    """What a service says of itself.

    Attributes:
        pid: The process that is asked to stop.
        plan: What it runs.
        phase: How far it is.
        reason: Why it failed, or what it is waiting for.
        parts: Process ids of what it runs now, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    plan: Plan
    phase: Phase
    reason: str = ""
    parts: Mapping[str, int] = {}


class Place:
    """The folder of a service; there is one for each Prefect home.

    Attributes:
        folder: It.
    """

    def __init__(self, home: Path) -> None:
        """Name it; nothing is made.

        Args:
            home: Prefect's folder.
        """
        self.folder = home / "centernet-serve"

    def log(self, name: str) -> Path:
        """Return the path of a part's log."""
        return self.folder / f"{name}.log"

    def claim(self) -> int | None:
        """Become the one service of this place.

        Returns:
            The open lock, to be passed on to whatever has to be gone before another may start; None where another
            service holds it.

        Raises:
            StoreNotWritable: The folder cannot be made or written.
            NoSpace: The disk is full.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        (self.folder / "status.json").unlink(missing_ok=True)
        return lock

    def is_held(self) -> bool:
        """Whether a service is there, starting and stopping ones too."""
        return is_locked(self.folder / "lock")

    def tell(self, status: Status) -> None:
        """Write down what the service says of itself."""
        atomic_write(self.folder / "status.json", status.model_dump_json().encode())

    def status(self) -> Status | None:
        """Return what the service that runs says of itself; None where none runs, or it has said nothing yet."""
        return self.last_words() if self.is_held() else None

    def last_words(self) -> Status | None:
        """Return what the service that runs or ran here last said of itself."""
        with suppress(OSError, ValueError, ValidationError):
            return Status.model_validate(json.loads((self.folder / "status.json").read_bytes()))
        return None


def running_server(home: Path) -> str | None:
    """Return the address of the server that a service runs on this machine, None where there is no such.

    Args:
        home: Prefect's folder.
    """
    status = Place(home).status()
    return status.plan.api_url if status is not None and status.phase == "ready" else None
