"""Damage, in all its kinds, to what a build leaves."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path


class Damage(StrEnum):
    """What may happen to a file."""

    FLIPPED = "a bit flipped"
    HALF = "cut to half"
    EMPTY = "emptied"
    GONE = "removed"
    FOLDER = "a folder in its place"
    LINK = "a link to another file in its place"
    ZEROS = "zeros in its place"


def damage(path: Path, kind: Damage, chance: random.Random, elsewhere: Path) -> None:
    """Damage a file.

    Args:
        path: The file; a link counts as the file that it leads to.
        kind: How.
        chance: Where a bit is flipped.
        elsewhere: Where a link leads to; holds other bytes.
    """
    data = bytearray(path.read_bytes())
    path.unlink()
    if kind is Damage.FLIPPED and data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
    elif kind is Damage.FLIPPED:
        path.write_bytes(b"\x00")
    elif kind is Damage.HALF:
        path.write_bytes(data[: len(data) // 2])
    elif kind is Damage.EMPTY:
        path.touch()
    elif kind is Damage.FOLDER:
        path.mkdir()
        (path / "inside").write_bytes(b"something else")
    elif kind is Damage.LINK:
        path.symlink_to(elsewhere)
    elif kind is Damage.ZEROS:
        path.write_bytes(bytes(len(data)))


def files_in(*folders: Path) -> list[Path]:
    """List all files and links of some folders, sorted."""
    return sorted(path for folder in folders for path in _walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


class Snapshot:
    """A folder as it was, which can be had again."""

    def __init__(self, folder: Path, kept: Path) -> None:
        """Keep a copy."""
        self.folder, self.kept = folder, kept
        shutil.copytree(folder, kept, symlinks=True)

    def restore(self) -> None:
        """Make the folder what it was."""
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        shutil.copytree(self.kept, self.folder, symlinks=True, dirs_exist_ok=True)
