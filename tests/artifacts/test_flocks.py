"""Looking at a lock without taking it."""

from __future__ import annotations

from pathlib import Path

from artifacts.files import locked
from artifacts.flocks import is_locked


def test_a_lock_is_seen_while_it_is_held_and_looking_takes_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_locked(lock) and not lock.exists()
    with locked(lock):
        assert is_locked(lock)
    assert not is_locked(lock)
    with locked(lock, timeout_s=0.0):
        pass
