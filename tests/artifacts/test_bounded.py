"""Files are read up to a limit, and only files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from artifacts.bounded import opened_regular, read_bounded


def test_a_file_of_just_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_bounded(tmp_path / "a", 10) == b"0123456789"
    with pytest.raises(OSError, match="more than the 9 bytes") as caught:
        read_bounded(tmp_path / "a", 9)
    assert caught.value.errno == errno.EFBIG


def test_a_file_whose_size_is_told_as_nothing_is_bounded_too() -> None:
    with pytest.raises(OSError, match="more than the 5 bytes"):
        read_bounded("/proc/self/status", 5)


@pytest.mark.parametrize("read", [opened_regular, lambda path: read_bounded(path, 10)])
def test_a_pipe_a_folder_and_a_device_are_no_files(tmp_path: Path, read: object) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError):
            read(path)  # type: ignore[operator]
