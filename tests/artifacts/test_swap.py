from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from typing import Any

import pytest

from artifacts.swap import swap


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    if not swap(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system cannot")
    assert (tmp_path / "a" / "b").read_text() == "b" and (tmp_path / "b" / "a").read_text() == "a"


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    try:
        assert not swap(tmp_path / "a", tmp_path / "b")
    except OSError as error:
        assert error.errno == errno.ENOENT
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize("number", [None, errno.ENOSYS, errno.EINVAL])
def test_a_system_that_cannot_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: Any) -> None:
    class Library:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if number is not None:
                self.renameat2 = lambda *arguments: -1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)
    assert not swap(tmp_path / "a", tmp_path / "b")
