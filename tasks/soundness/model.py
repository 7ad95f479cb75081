"""What a verification finds: what is not as it should be, where, why, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Remedy(StrEnum):
    """Who puts it right."""

    ITSELF = "heals by itself"
    YOU = "needs you"
    NOBODY = "of no matter"


class Trouble(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        what: What it is, in the plural, such as `stored files`.
        path: The file or folder.
        why: What is wrong.
        remedy: Who puts it right.
        advice: What happens, or is to be done.
    """

    what: str
    path: Path
    why: str
    remedy: Remedy
    advice: str


class Part(NamedTuple):
    """What was found in one place.

    Attributes:
        name: What was looked at.
        looked_at: How many things.
        troubles: What is wrong.
        notes: What is to be said beside that.
    """

    name: str
    looked_at: int
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()


class Meter:
    """Counts the bytes that were hashed.

    Attributes:
        size: How many so far.
    """

    def __init__(self, told: Callable[[int], None] = lambda size: None) -> None:
        """Count from 0.

        Args:
            told: Called with the count after each file.
        """
        self.size = 0
        self._told = told

    def __call__(self, size: int) -> None:
        """Add a file."""
        self.size += size
        self._told(self.size)


RUN_AGAIN = "run the build again: it is made anew"
LAID_OUT = "run the build again: it is laid out anew"
FETCHED = "run the build again: it is fetched anew"
INSTALLED = "run the build again: the compiler is installed anew"
RESTORE = "restore the registry from the backup; what a build of today's settings makes, it also puts back itself"


def in_the_way(what: str, paths: Sequence[Path]) -> list[Trouble]:
    """Find folders where files should be; what else lies in a lock's place locks as well."""
    advice = "move it away"
    return [Trouble(what, path, "it is a folder, not a file", Remedy.YOU, advice) for path in paths if path.is_dir()]
