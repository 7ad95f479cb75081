"""Hashing many files against what they should be, several at a time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Callable, List, NamedTuple, Optional, Sequence

from artifacts.digest import digest_stream

# The hash lets go of Python's lock; more readers than this make a disk seek more than read.
_MOST_THREADS = 4

Told = Callable[[int], None]
"""Called with the bytes of a file that was looked at."""


class Problem(NamedTuple):
    """Something found wrong in a store or a layout."""

    path: Path
    reason: str


class Wanted(NamedTuple):
    """A file and what it should be.

    Attributes:
        path: The file.
        digest: Of its bytes.
        size: How many they are; None where that is not known.
    """

    path: Path
    digest: str
    size: Optional[int] = None


def why_unsound(stream: BinaryIO, digest: str, size: Optional[int]) -> Optional[str]:
    """Say why an open file is not what it should be; None where it is."""
    found_size = os.fstat(stream.fileno()).st_size
    if size is not None and found_size != size:
        return f"it has {found_size} bytes instead of {size}"
    found = digest_stream(stream)
    return None if found == digest else f"its bytes hash to {found}"


def why_wrong(wanted: Wanted) -> Optional[str]:
    """Say why a file is not what it should be, missing and unreadable ones too; None where it is."""
    if wanted.path.is_dir():
        return "it is a folder, not a file"
    try:
        with wanted.path.open("rb") as stream:
            return why_unsound(stream, wanted.digest, wanted.size)
    except FileNotFoundError:
        return "it is not there"
    except OSError as error:
        return error.strerror or str(error)


def check_files(wanted: Sequence[Wanted], told: Optional[Told] = None) -> List[Problem]:
    """Hash files, several at a time.

    Args:
        wanted: The files.
        told: Called after each, in this thread and in their order.

    Returns:
        What is wrong, in their order.
    """
    problems: List[Problem] = []
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="hash") as pool:
        for one, reason in zip(wanted, pool.map(why_wrong, wanted)):
            problems += [] if reason is None else [Problem(one.path, reason)]
            if told is not None:
                told(_size(one.path))
    return problems


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
