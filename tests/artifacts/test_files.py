from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import List, Optional, Type

import pytest

from artifacts.errors import DiskFailed, LockTimeout, NoSpace, StoreError, StoreNotWritable
from artifacts.files import atomic_write, free_bytes, locked, staged, storage_errors
from tests.artifacts.processes import all_at_once, killed_after, living


def names(folder: Path) -> List[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_written_file_has_its_content_and_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        atomic_write(tmp_path / "a" / "b.json", b"one")
        atomic_write(tmp_path / "a" / "b.json", b"two")
    finally:
        os.umask(previous)
    assert (tmp_path / "a" / "b.json").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "a" / "b.json").stat().st_mode) == 0o644
    assert names(tmp_path / "a") == ["b.json"]


def test_an_error_in_the_body_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="drawing failed"), staged(target) as part:
        part.write_bytes(b"half")
        raise RuntimeError("drawing failed")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["sheet.png"]


def test_the_temporary_file_keeps_the_suffix_that_tools_choose_a_format_by(tmp_path: Path) -> None:
    with staged(tmp_path / "sheet.png") as part:
        assert part.suffix == ".png"
        assert part.parent == tmp_path


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "é" * 120 + ".png", "a." + "y" * 240])
def test_a_name_of_the_greatest_length_can_be_staged(tmp_path: Path, name: str) -> None:
    atomic_write(tmp_path / name, b"data")
    assert names(tmp_path) == [name]


def test_a_killed_writer_leaves_the_old_content_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "index.json"
    atomic_write(target, b"old")

    def write_slowly() -> None:
        with staged(target) as part:
            part.write_bytes(b"half")
            time.sleep(60)

    assert killed_after(0.1, write_slowly)
    assert len(names(tmp_path)) == 2
    assert target.read_bytes() == b"old"
    atomic_write(target, b"new")
    assert names(tmp_path) == ["index.json"]


def test_the_temporary_file_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "index.json"

    def write_slowly(ready: Callable[[], None]) -> None:
        with staged(target) as part:
            part.write_bytes(b"half")
            ready()
            time.sleep(60)

    with living(write_slowly):
        atomic_write(target, b"new")
        assert len(names(tmp_path)) == 2


def test_files_of_others_that_look_similar_are_left_alone(tmp_path: Path) -> None:
    for other in (".a.notes.part.json", ".a.0123456789ab.part.png", ".a.b.0123456789ab.part.json"):
        (tmp_path / other).write_bytes(b"theirs")
    atomic_write(tmp_path / "a.json", b"data")
    assert len(names(tmp_path)) == 4


def test_readers_see_one_content_or_the_other_while_writers_race(tmp_path: Path) -> None:
    target = tmp_path / "f"
    contents = [bytes([65 + index]) * 50_000 for index in range(4)]
    atomic_write(target, contents[0])

    def write(content: bytes) -> Callable[[], object]:
        def run() -> None:
            for _ in range(15):
                atomic_write(target, content)

        return run

    def read() -> None:
        assert all(target.read_bytes() in contents for _ in range(200))

    assert all_at_once([*map(write, contents), read, read]) == [0] * 6
    assert names(tmp_path) == ["f"]


def test_a_full_disk_is_told_with_the_free_space_and_leaves_the_old_file(small_disk: Path) -> None:
    atomic_write(small_disk / "f", b"old")
    with pytest.raises(NoSpace, match="is free there") as caught:
        atomic_write(small_disk / "f", bytes(2 << 20))
    assert caught.value.free_bytes is not None
    assert caught.value.free_bytes < 2 << 20
    assert (small_disk / "f").read_bytes() == b"old"
    assert names(small_disk) == ["f"]


def test_a_read_only_file_system_is_told_as_such(read_only_disk: Path) -> None:
    with pytest.raises(StoreNotWritable, match="Read-only file system"):
        atomic_write(read_only_disk / "f", b"data")
    with pytest.raises(StoreNotWritable, match="Read-only file system") as caught, locked(read_only_disk / "lock"):
        pass
    assert caught.value.path == read_only_disk  # the folder that has to be writable, not the lock in it


def test_a_source_that_may_not_be_read_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), storage_errors(tmp_path / "store"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "elsewhere"))
    with pytest.raises(StoreNotWritable), storage_errors(tmp_path / "store"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "store" / "blob"))


def test_free_space_can_be_asked_for_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "a" / "b" / "c")
    assert free is not None
    assert free > 0


def test_a_lock_keeps_processes_from_losing_each_others_changes(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(20):
            with locked(tmp_path / "lock"):
                value = int(counter.read_text())
                time.sleep(0.0005)
                counter.write_text(str(value + 1))

    assert all_at_once([count] * 4) == [0] * 4
    assert counter.read_text() == "80"


def test_a_lock_keeps_threads_apart_too(tmp_path: Path) -> None:
    inside: List[int] = []
    most: List[int] = []

    def enter() -> None:
        with locked(tmp_path / "lock", timeout_s=10):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_a_lock_that_stays_taken_is_given_up_after_the_time_allowed(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(LockTimeout) as caught, locked(tmp_path / "lock", timeout_s=0.05):
        pass
    assert caught.value.path == tmp_path / "lock"


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    def hold(ready: Callable[[], None]) -> None:
        with locked(tmp_path / "lock"):
            ready()
            time.sleep(60)

    with living(hold), pytest.raises(LockTimeout), locked(tmp_path / "lock", timeout_s=0):
        pass
    with locked(tmp_path / "lock", timeout_s=0):
        pass


@pytest.mark.parametrize(
    "number, expected",
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EROFS, StoreNotWritable),
        (errno.EIO, DiskFailed),
        (errno.ESTALE, DiskFailed),
    ],
)
@pytest.mark.parametrize("filename", [None, "store/blobs/a", "elsewhere/a"])
def test_what_the_disk_says_is_told_with_the_place_that_it_says_it_of(
    tmp_path: Path, number: int, expected: Type[StoreError], filename: Optional[str]
) -> None:
    named = None if filename is None else str(tmp_path / filename)
    with pytest.raises(expected) as caught, storage_errors(tmp_path / "store"):
        raise OSError(number, os.strerror(number), named)
    assert caught.value.path == tmp_path / ("elsewhere/a" if filename == "elsewhere/a" else "store")  # type: ignore[attr-defined]


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(StoreNotWritable, match="a device, a pipe or a socket"):
        atomic_write(path, b"x")
    assert path.is_fifo() and names(tmp_path) == ["pipe"]
