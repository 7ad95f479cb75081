"""The programs by which tpu-nntc is started, on disk: one folder for all that tells one tpu-nntc from another."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from artifacts.files import atomic_write, locked, remove_if_abandoned, storage_errors
from artifacts.scratch import remove_tree
from tasks.toolchain.contents import write_contents

_IDLE_S = 30 * 24 * 3600.0
"""Longer than any build: each begins with a look."""

_OURS = re.compile(r"[0-9.]+-[0-9a-f]{12}\.lock")


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the programs where they are missing or others, and note the use.

    Args:
        folder: Where; they come into `bin/`.
        texts: Name to text.

    Raises:
        StoreNotWritable: The folder cannot be written.
    """
    lock = _lock_of(folder)
    with locked(lock):
        os.utime(lock)
        for name, text in texts.items():
            path = folder / "bin" / name
            if not path.is_file() or path.read_text() != text or not os.access(path, os.X_OK):
                atomic_write(path, text.encode())
                path.chmod(0o755)
        write_contents(folder)


def sweep(parent: Path) -> None:
    """Remove the programs of each tpu-nntc that was not looked at for a month; a failed look leaves some too.

    Args:
        parent: The folder of all of them.

    Raises:
        StoreNotWritable: Something cannot be removed for lack of permission.
    """
    if not parent.is_dir():
        return
    # Others sweep at the same time.
    with storage_errors(parent), suppress(FileNotFoundError):
        for lock in sorted(parent.glob("*.lock")):
            if _OURS.fullmatch(lock.name) and lock.stat().st_mtime < time.time() - _IDLE_S:
                remove_tree(lock.with_suffix(""))
                remove_if_abandoned(lock)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
