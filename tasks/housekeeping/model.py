"""What cleaning finds: things that may go, each with its reason, and what is to be said beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

DAY_S = 86400.0


class Kind(StrEnum):
    """What something is, in the order in which it is removed: what names bytes goes before the bytes."""

    RECORD = "cache records"
    BLOB = "stored files"
    EXPLANATION = "explanations"
    LAYER_GROUPS = "layer groups"
    SCRATCH = "scratch folders"
    INCOMING = "unfinished transfers"
    QUARANTINE = "quarantine"
    LOG = "logs"
    JOURNAL = "journals"
    NOT_PUBLISHED = "refused bmodels"
    DOWNLOAD = "downloads"
    TOOLCHAIN = "compilers"
    REGISTRY = "registry leftovers"


class Item(NamedTuple):
    """Something that may go.

    Attributes:
        kind: What it is.
        path: A file or a folder.
        size: Bytes that its removal frees.
        why: Why nothing needs it; equal for many.
        modified: When it was last written, nanoseconds; it stays when that changes before it is removed.
    """

    kind: Kind
    path: Path
    size: int
    why: str
    modified: int


class Found(NamedTuple):
    """A file or folder and when it was last written."""

    path: Path
    stat: os.stat_result

    def item(self, kind: Kind, why: str) -> Item:
        """Let it go."""
        size = freed_by(self.path) if self.path.is_dir() and not self.path.is_symlink() else _alone(self.stat)
        return Item(kind, self.path, size, why, self.stat.st_mtime_ns)


class Age(NamedTuple):
    """What counts as old.

    Attributes:
        now: Seconds since the epoch.
        days: What was written within so many days stays.
    """

    now: float
    days: float

    def old(self, found: Found) -> bool:
        """Tell whether it was written long ago; what is dated in the future was not."""
        return self.now - found.stat.st_mtime > self.days * DAY_S

    def ahead(self, found: Found) -> bool:
        """Tell whether it is dated in the future, by more than clocks of two machines differ."""
        return found.stat.st_mtime - self.now > DAY_S / 24


def entries(folder: Path) -> list[Found]:
    """List what lies directly in a folder, sorted; nothing where there is no such folder."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(folder.iterdir()):
            with suppress(FileNotFoundError):  # somebody else has just removed it
                found.append(Found(path, path.lstat()))
    return found


def freed_by(folder: Path) -> int:
    """Return the bytes on disk that only this folder holds: a file that is linked from elsewhere frees nothing."""
    seen: dict[tuple[int, int], int] = {}
    total = 0
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            with suppress(OSError):
                stat = (Path(parent) / name).lstat()
                key = (stat.st_dev, stat.st_ino)
                seen[key] = seen.get(key, 0) + 1
                if name in folders or seen[key] == stat.st_nlink:
                    total += stat.st_blocks * 512
    return total


def newest(folder: Path) -> float:
    """Return when anything in a folder was last written, seconds since the epoch."""
    return max((one.stat.st_mtime for one in (Found(folder, folder.lstat()), *entries(folder))), default=0.0)


def counted(count: int, what: str) -> str:
    """Write how many there are of something whose plural ends in s."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def by_kind(items: Iterable[Item]) -> Iterator[tuple[Kind, list[Item]]]:
    """Group things by kind, in the order of removal."""
    listed = list(items)
    for kind in Kind:
        group = [item for item in listed if item.kind is kind]
        if group:
            yield kind, group


def _alone(stat: os.stat_result) -> int:
    return stat.st_blocks * 512 if stat.st_nlink == 1 else 0
