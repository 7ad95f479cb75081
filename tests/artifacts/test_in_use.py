"""A folder that many use at once, and one cleans alone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import List

import pytest

from artifacts.errors import LockTimeout, StoreNotWritable
from artifacts.in_use import alone_in, in_use
from tests.artifacts.processes import as_nobody, killed_after


def test_many_use_a_folder_at_once_and_nobody_cleans_it_meanwhile(tmp_path: Path) -> None:
    with in_use(tmp_path), in_use(tmp_path), alone_in(tmp_path) as alone:
        assert not alone
    with alone_in(tmp_path) as alone:
        assert alone


def test_only_one_cleans_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path) as first, alone_in(tmp_path) as second:
        assert first and not second


def test_who_comes_while_it_is_cleaned_says_so_and_waits(tmp_path: Path) -> None:
    order: List[str] = []
    waits = threading.Event()

    def use() -> None:
        with in_use(tmp_path, waits.set):
            order.append("used")

    thread = threading.Thread(target=use)
    with alone_in(tmp_path):
        thread.start()
        assert waits.wait(10)
        order.append("cleaned")
    thread.join(10)
    assert order == ["cleaned", "used"]


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(LockTimeout), in_use(tmp_path, timeout_s=0.2):
        pass


def test_a_killed_user_keeps_no_cleaner_away(tmp_path: Path) -> None:
    def use() -> None:
        with in_use(tmp_path):
            threading.Event().wait()

    assert killed_after(0.3, use)
    with alone_in(tmp_path) as alone:
        assert alone


def test_cleaning_a_folder_that_does_not_exist_does_not_make_it(tmp_path: Path) -> None:
    with alone_in(tmp_path / "nothing") as alone:
        assert alone
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    def use() -> None:
        with pytest.raises(StoreNotWritable, match="sealed"), in_use(tmp_path / "sealed"):
            pass

    (tmp_path / "sealed").mkdir(mode=0o555)
    assert as_nobody(use) == 0
