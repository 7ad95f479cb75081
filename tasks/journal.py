"""What each step of a run did: used a stored result, or worked, and why."""

from __future__ import annotations

import errno
import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from artifacts.files import storage_errors
from tasks.workspace import Workspace

NAMED_CHANGES = 20
"""How many changed facts an entry names; the rest are counted."""


class Outcome(StrEnum):
    """How far a step came."""

    HIT = "hit"
    WANTED = "wanted"
    MADE = "made"
    FAILED = "failed"


class Entry(BaseModel):
    """One step's line.

    Attributes:
        slot: Which use of the step.
        step: The step's name.
        outcome: `wanted` is written before the work and followed by one of the others, unless another process did the
            work meanwhile, or this one was killed.
        damaged: Digests of stored bytes that were missing or wrong.
        first: Whether this slot was never made before.
        changed: Dotted names of the first facts that differ from last time.
        more_changed: How many more differ.
        time: When, seconds since the epoch.
        key: Under which its result is stored, so that cleaning knows what the run used; older journals have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str
    step: str
    outcome: Outcome
    damaged: tuple[str, ...] = ()
    first: bool = False
    changed: tuple[str, ...] = ()
    more_changed: int = 0
    time: float = 0.0
    key: str = ""

    @property
    def reason(self) -> str:
        """Why the step hit or missed, in a few words."""
        if self.outcome is Outcome.HIT:
            return "nothing changed"
        if self.damaged:
            return f"{len(self.damaged)} stored file(s) missing or damaged: {', '.join(self.damaged[:2])}"
        if self.changed:
            more = len(self.changed) - 3 + self.more_changed
            return f"changed: {', '.join(self.changed[:3])}{f' and {more} more' if more > 0 else ''}"
        return "never made before" if self.first else "no finished result is stored"


def append(workspace: Workspace, run: str, entry: Entry) -> None:
    """Add a line to a run's journal; several threads may do so at once.

    Raises:
        NoSpace: The disk is full.
        StoreNotWritable: The store cannot be written.
    """
    with storage_errors(workspace.journals):
        workspace.journals.mkdir(parents=True, exist_ok=True)
        # One write to a file opened for appending: lines of several threads do not mix.
        descriptor = os.open(_path(workspace, run), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            line = (entry.model_dump_json() + "\n").encode()
            if os.write(descriptor, line) < len(line):  # what a disk does that is just becoming full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(_path(workspace, run)))
        finally:
            os.close(descriptor)


def read(workspace: Workspace, run: str) -> tuple[Entry, ...]:
    """Read a run's journal, the last line of each slot; a line that was cut by a kill is left out."""
    path = _path(workspace, run)
    entries: dict[str, Entry] = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError:
            continue
        entries[entry.slot] = entry
    return tuple(entries.values())


def explain(entries: tuple[Entry, ...]) -> str:
    """Tell for each step whether it hit, and why not where it did not."""
    width = max((len(entry.slot) for entry in entries), default=0)
    return "\n".join(f"{_VERBS[entry.outcome]}  {entry.slot:<{width}}  {_reason(entry)}" for entry in entries)


_VERBS = {Outcome.HIT: "hit   ", Outcome.WANTED: "waited", Outcome.MADE: "made  ", Outcome.FAILED: "failed"}


def _reason(entry: Entry) -> str:
    return f"{entry.reason}; another build made it" if entry.outcome is Outcome.WANTED else entry.reason


def _path(workspace: Workspace, run: str) -> Path:
    return workspace.journals / f"{run}.jsonl"
