"""A folder that many use at once, and one cleans alone.

The lock is a flock on a file in the folder: the kernel frees it however its holder ends, so that a killed build keeps
no cleaner away and a killed cleaner no build. For one host, or a file system that passes flock on.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Optional

from artifacts.errors import LockTimeout
from artifacts.files import FILE_MODE, PathLike, storage_errors

LOCK_NAME = ".in-use.lock"
WAIT_S = 600.0

_POLL_S = 0.1


@contextmanager
def in_use(
    folder: PathLike, waiting: Optional[Callable[[], None]] = None, *, timeout_s: float = WAIT_S
) -> Iterator[None]:
    """Keep cleaners out of a folder while the body runs; wait for one that is at work. Others may use it as well.

    Args:
        folder: The folder; made when missing.
        waiting: Called once when there is somebody to wait for.
        timeout_s: Longest wait, seconds.

    Raises:
        LockTimeout: It was being cleaned for all of that time.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    lock = Path(folder) / LOCK_NAME
    with storage_errors(folder):
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(lock)
    try:
        if not _flocked(descriptor, fcntl.LOCK_SH):
            if waiting is not None:
                waiting()
            deadline = time.monotonic() + timeout_s
            while not _flocked(descriptor, fcntl.LOCK_SH):
                if time.monotonic() >= deadline:
                    raise LockTimeout(lock, timeout_s)
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone_in(folder: PathLike) -> Iterator[bool]:
    """Have a folder for oneself while the body runs, if nobody uses it.

    Args:
        folder: The folder; one that does not exist is not made, and nobody uses it.

    Yields:
        Whether it is so. False means that somebody uses or cleans it.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    if not Path(folder).is_dir():
        yield True
        return
    with storage_errors(folder):
        descriptor = _opened(Path(folder) / LOCK_NAME)
    try:
        yield _flocked(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


def _flocked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
