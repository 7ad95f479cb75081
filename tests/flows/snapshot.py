"""Folders as they were, to be damaged and had again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path


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

    def restore_one(self, path: Path) -> None:
        """Make one file what it was."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.copy2(self.kept / path.relative_to(self.folder), path, follow_symlinks=False)
