"""Entries are believed only while their bytes are those that were kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.toolchain.layer_groups import lend, take_back


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """One entry, kept as a first compile leaves it."""
    first = tmp_path / "first"
    lend(tmp_path / "shared", first)
    assert not list(first.iterdir())
    (first / "123").write_text("1,10[1,1,1,1,1];11;")
    take_back(first, tmp_path / "shared")
    return tmp_path / "shared"


def lent(shared: Path, private: Path) -> dict[str, str]:
    lend(shared, private)
    return {path.name: path.read_text() for path in private.iterdir()}


def test_an_entry_comes_back_under_its_own_name(shared: Path, tmp_path: Path) -> None:
    assert lent(shared, tmp_path / "next") == {"123": "1,10[1,1,1,1,1];11;"}


def test_half_an_entry_is_not_lent_and_is_made_whole_by_the_next_search(shared: Path, tmp_path: Path) -> None:
    (kept,) = shared.iterdir()
    kept.write_text("1,10[1,1")
    assert lent(shared, tmp_path / "next") == {}
    (tmp_path / "next" / "123").write_text("1,10[1,1,1,1,1];11;")
    take_back(tmp_path / "next", shared)
    assert lent(shared, tmp_path / "after") == {"123": "1,10[1,1,1,1,1];11;"}


def test_what_another_run_is_writing_is_neither_lent_nor_taken_back(shared: Path, tmp_path: Path) -> None:
    (shared / ".123.0123456789ab.part").write_text("1,1")
    (shared / "123.lock").write_text("")
    assert set(lent(shared, tmp_path / "next")) == {"123"}
    (tmp_path / "next" / ".hidden").write_text("x")
    (tmp_path / "next" / "7").write_text("")
    (tmp_path / "next" / "8").mkdir()
    before = sorted(shared.iterdir())
    take_back(tmp_path / "next", shared)
    assert sorted(shared.iterdir()) == before


def test_a_lent_entry_is_a_copy(shared: Path, tmp_path: Path) -> None:
    lend(shared, tmp_path / "next")
    (tmp_path / "next" / "123").write_text("scribbled")
    assert lent(shared, tmp_path / "after") == {"123": "1,10[1,1,1,1,1];11;"}
