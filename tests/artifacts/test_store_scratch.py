from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.store import ContentStore
from tests.artifacts.processes import all_at_once, as_nobody, killed_after, living
from tests.artifacts.stores import scratch_names


def test_a_scratch_folder_is_empty_at_first_and_gone_afterwards(store: ContentStore) -> None:
    with store.scratch("BM1688 int8/../x") as folder:
        assert list(folder.iterdir()) == []
        assert folder.parent == store.root / "scratch"
        (folder / "f").write_bytes(b"x")
    assert scratch_names(store) == []


def test_a_scratch_folder_goes_even_when_a_tool_left_read_only_folders_in_it(open_folder: Path) -> None:
    store = ContentStore(open_folder / "store")

    def work() -> None:
        with store.scratch("compile") as folder:
            (folder / "link").symlink_to(open_folder)
            for name, mode in (("read-only", 0o500), ("shut", 0o000)):
                (folder / name).mkdir()
                (folder / name / "f").write_bytes(b"x")
                (folder / name).chmod(mode)
        assert scratch_names(store) == []

    assert as_nobody(work) == 0


def test_a_scratch_folder_is_gone_after_an_error(store: ContentStore) -> None:
    with pytest.raises(RuntimeError), store.scratch("compile"):
        raise RuntimeError("the compiler failed")
    assert scratch_names(store) == []


def test_sweeping_removes_what_killed_processes_left_and_nothing_else(store: ContentStore) -> None:
    def work() -> None:
        with store.scratch("compile") as folder:
            (folder / "half.bmodel").write_bytes(b"half")
            time.sleep(60)

    def work_on(ready: Callable[[], None]) -> None:
        with store.scratch("calibrate"):
            ready()
            time.sleep(60)

    assert killed_after(0.1, work)
    # An older version of a lock that no folder belongs to, and a folder that lost its lock.
    (store.root / "scratch" / "gone-1-aa.lock").touch()
    (store.root / "scratch" / "alone-1-aa").mkdir()
    with living(work_on), store.scratch("mine") as mine:
        removed = store.sweep()
        assert sorted(path.name.split("-")[0] for path in removed) == ["alone", "compile"]
        assert mine.is_dir()
        assert sorted(name.split("-")[0] for name in scratch_names(store)) == ["calibrate"] * 2 + ["mine"] * 2
    assert [path.name.split("-")[0] for path in store.sweep()] == ["calibrate"]
    assert scratch_names(store) == []


def test_sweepers_and_workers_do_not_disturb_each_other(store: ContentStore) -> None:
    def work() -> None:
        for number in range(30):
            with store.scratch("work") as folder:
                (folder / "f").write_bytes(b"x")
                store.put_bytes(f"{os.getpid()} {number}".encode())
                assert (folder / "f").read_bytes() == b"x"

    def sweep() -> None:
        for _ in range(60):
            store.sweep()

    assert all_at_once([work, work, sweep, sweep]) == [0] * 4
    assert scratch_names(store) == []
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 60
    assert store.verify_all() == []
