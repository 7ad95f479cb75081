"""Working folders and temporary files that are recognised as left over once their process is dead.

Each is guarded by a flock that its owner holds: the kernel frees it however the owner ends, and a process id that was
given to another process since cannot keep a dead one's folder alive.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import List, Tuple

from artifacts.files import claim, claimed, remove_if_abandoned, storage_errors

_LOCK_SUFFIX = ".lock"


@contextmanager
def scratch_folder(parent: Path, label: str) -> Iterator[Path]:
    """Make a fresh empty folder and remove it, with what is in it, when the body ends.

    Args:
        parent: Where; made when missing.
        label: What it is for; characters outside letters, digits, ``.``, ``_`` and ``-`` become ``-``.

    Yields:
        The folder.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The parent cannot be written.
    """
    folder = parent / _fresh_name(label)
    lock = folder.with_name(folder.name + _LOCK_SUFFIX)
    with storage_errors(parent):
        # The lock exists and is held before the folder does, so a folder without one is always a dead one's.
        descriptor = claimed(lock)
        try:
            folder.mkdir()
        except BaseException:
            _release(descriptor, lock)
            raise
    try:
        yield folder
    finally:
        remove_tree(folder)
        _release(descriptor, lock)


@contextmanager
def scratch_file(parent: Path, label: str) -> Iterator[Tuple[int, Path]]:
    """Make a temporary file and remove it when the body ends, unless the body renamed it.

    Args:
        parent: Where; made when missing.
        label: What it is for.

    Yields:
        A descriptor open for writing, which the body must not close, and the path.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The parent cannot be written.
    """
    path = parent / _fresh_name(label)
    with storage_errors(parent):
        descriptor = claimed(path)
    try:
        yield descriptor, path
    finally:
        _release(descriptor, path)


def sweep_scratch(parent: Path) -> List[Path]:
    """Remove the folders and files of dead processes; those of live ones stay.

    Args:
        parent: The folder given to `scratch_folder` and `scratch_file`.

    Returns:
        What was removed, lock files not counted.

    Raises:
        StoreNotWritable: Something cannot be removed for lack of permission.
    """
    removed: List[Path] = []
    if not parent.is_dir():
        return removed
    # Others sweep and remove at the same time; what is gone needs no sweeping.
    with storage_errors(parent), suppress(FileNotFoundError):
        for entry in sorted(parent.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                removed += _sweep_folder(entry)
            elif not entry.name.endswith(_LOCK_SUFFIX):
                removed += [entry] if remove_if_abandoned(entry) else []
        for lock in sorted(parent.glob("*" + _LOCK_SUFFIX)):
            remove_if_abandoned(lock)
    return removed


def sweep_parts(folder: Path, idle_s: float) -> List[Path]:
    """Remove files that nobody holds and nobody has written to for a long time.

    Args:
        folder: Files that their writer holds by `artifacts.files.claim`.
        idle_s: How long, seconds.

    Returns:
        What was removed.

    Raises:
        StoreNotWritable: Something cannot be removed for lack of permission.
    """
    removed: List[Path] = []
    with storage_errors(folder), suppress(FileNotFoundError):
        for entry in sorted(folder.iterdir()):
            if entry.stat().st_mtime < time.time() - idle_s and remove_if_abandoned(entry):
                removed.append(entry)
    return removed


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, read-only folders too; what cannot be removed stays for a later sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir():
        with suppress(OSError):
            folder.chmod(0o700)
        for parent, names, _ in os.walk(folder):
            for inside in (Path(parent) / name for name in names):
                # A link may lead out of the folder, and changing the mode of a link changes that of its target.
                if not inside.is_symlink():
                    with suppress(OSError):
                        inside.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _fresh_name(label: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", label).lstrip(".")[:60] or "scratch"
    return f"{safe}-{os.getpid()}-{secrets.token_hex(6)}"


def _release(descriptor: int, lock: Path) -> None:
    # Where it cannot be removed, a sweep will: it must not stay locked until then, and what went wrong before counts.
    with suppress(OSError):
        lock.unlink()
    os.close(descriptor)


def _sweep_folder(folder: Path) -> List[Path]:
    lock = folder.with_name(folder.name + _LOCK_SUFFIX)
    descriptor = claim(lock)
    if descriptor is None:
        return []
    remove_tree(folder)
    _release(descriptor, lock)
    return [folder]
