"""A lock manager for Prefect's transactions that survives a killed holder.

Prefect's own file locks stay for ever when their holder is killed; flock(2) is released by the kernel. For one host.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from pathlib import Path

from prefect.locking.protocol import LockManager
from prefect.settings import get_current_settings

from artifacts.files import storage_errors

_POLL_S = 0.05


class FlockLockManager(LockManager):
    """Locks named by a record's key, as files in a folder `.locks` among the records."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[str, tuple[str, int]] = {}

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Take the lock, waiting for it.

        Args:
            key: The record's key.
            holder: Whoever shall have it.
            acquire_timeout: Longest wait in seconds, None for ever.
            hold_timeout: Not needed: a dead holder holds nothing.

        Returns:
            True when the holder has it, False when that took longer than the wait.

        Raises:
            NoSpace: The disk is full.
            StoreNotWritable: The store cannot be written.
        """
        if self.is_lock_holder(key, holder):
            return True
        path = _lock_path(key)
        with storage_errors(path.parents[1]):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _flock(descriptor, fcntl.LOCK_EX, acquire_timeout):
            os.close(descriptor)
            return False
        with self._guard:
            self._held[key] = (holder, descriptor)
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """As `acquire_lock`."""
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lock back.

        Raises:
            ValueError: This holder does not have it.
        """
        with self._guard:
            if self._held.get(key, ("", -1))[0] != holder:
                raise ValueError(f"no lock held by {holder} for {key}")
            _, descriptor = self._held.pop(key)
        os.close(descriptor)

    def is_locked(self, key: str) -> bool:
        """Tell whether anybody has the lock."""
        with self._guard:
            if key in self._held:
                return True
        return not self.wait_for_lock(key, timeout=0)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Tell whether this holder has the lock."""
        with self._guard:
            return self._held.get(key, ("", -1))[0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody has the lock; False when that takes longer than the time limit in seconds."""
        path = _lock_path(key)
        if not path.exists():
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return _flock(descriptor, fcntl.LOCK_SH, timeout)
        finally:
            os.close(descriptor)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """As `wait_for_lock`."""
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)


def _flock(descriptor: int, kind: int, timeout_s: float | None) -> bool:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)


def _lock_path(key: str) -> Path:
    # Beside the records: two builds that share these share the locks.
    return get_current_settings().results.local_storage_path / ".locks" / key
