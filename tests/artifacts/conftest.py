from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.store import ContentStore


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    """Give a store that holds nothing yet."""
    return ContentStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the place of a layout that is not made yet."""
    return tmp_path / "registry" / "centernet"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user may write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system of 1 MiB."""
    yield from _mounted(tmp_path / "small", "size=1m")


@pytest.fixture
def read_only_disk(small_disk: Path) -> Path:
    """Give a folder on a file system that is mounted read-only."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk
