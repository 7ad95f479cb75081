"""The lock manager: one holder at a time among threads and processes, and none that is dead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

from tasks.locks import FlockLockManager

HOLDER = """
import sys, time
from pathlib import Path
import fcntl, os
path = Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Path]:
    with temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: tmp_path / "records"}):
        yield tmp_path / "records"


@pytest.fixture
def other_process(records: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of `key`."""
    command = [sys.executable, "-c", HOLDER, str(records / ".locks" / "key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_gets_it_only_after_the_first_gave_it_back(records: Path) -> None:
    manager = FlockLockManager()
    assert manager.acquire_lock("key", "one")
    assert manager.acquire_lock("key", "one")  # the holder itself may ask again
    assert not manager.acquire_lock("key", "two", acquire_timeout=0.1)
    assert (
        manager.is_locked("key") and manager.is_lock_holder("key", "one") and not manager.is_lock_holder("key", "two")
    )
    manager.release_lock("key", "one")
    assert not manager.is_locked("key")
    assert manager.acquire_lock("key", "two", acquire_timeout=0)
    manager.release_lock("key", "two")


def test_locks_of_different_keys_do_not_touch(records: Path) -> None:
    manager = FlockLockManager()
    assert manager.acquire_lock("a", "one") and manager.acquire_lock("b", "two", acquire_timeout=0)
    manager.release_lock("a", "one")
    manager.release_lock("b", "two")


def test_only_the_holder_can_give_it_back(records: Path) -> None:
    manager = FlockLockManager()
    manager.acquire_lock("key", "one")
    with pytest.raises(ValueError, match="no lock held by two"):
        manager.release_lock("key", "two")
    assert manager.is_lock_holder("key", "one")
    manager.release_lock("key", "one")
    with pytest.raises(ValueError, match="no lock held by one"):
        manager.release_lock("key", "one")


def test_a_waiter_in_another_thread_gets_it_when_it_is_free(records: Path) -> None:
    manager = FlockLockManager()
    manager.acquire_lock("key", "one")
    got: list[bool] = []
    # A lock file's folder is a setting, which is this thread's own.
    settings = temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: records})

    def wait() -> None:
        with settings:
            got.append(manager.acquire_lock("key", "two"))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    assert got == []
    manager.release_lock("key", "one")
    thread.join(30)
    assert got == [True]
    manager.release_lock("key", "two")


def test_another_process_is_waited_for(records: Path, other_process: subprocess.Popen[str]) -> None:
    manager = FlockLockManager()
    assert manager.is_locked("key") and not manager.acquire_lock("key", "one", acquire_timeout=0.1)
    assert not manager.wait_for_lock("key", timeout=0.1)


def test_a_killed_holder_holds_nothing(records: Path, other_process: subprocess.Popen[str]) -> None:
    other_process.kill()
    other_process.wait()
    manager = FlockLockManager()
    assert manager.wait_for_lock("key", timeout=30)
    assert manager.acquire_lock("key", "one", acquire_timeout=30)
    manager.release_lock("key", "one")


def test_a_lock_that_nobody_ever_took_is_free(records: Path) -> None:
    manager = FlockLockManager()
    assert manager.wait_for_lock("key", timeout=0) and not manager.is_locked("key")


def test_the_asynchronous_forms_do_not_block_the_loop(records: Path) -> None:
    manager = FlockLockManager()

    async def two_at_once() -> bool:
        manager.acquire_lock("key", "one")
        waiting = asyncio.create_task(manager.aacquire_lock("key", "two", acquire_timeout=30))
        await asyncio.sleep(0.2)  # would not come back if the loop were blocked
        assert not waiting.done() and not await manager.await_for_lock("key", timeout=0)
        manager.release_lock("key", "one")
        return await waiting

    assert asyncio.run(two_at_once())
    manager.release_lock("key", "two")
