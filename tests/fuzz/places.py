"""Folders that a target writes its input into: in memory where the machine has such, one for each process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def scratch() -> Path:
    """A folder that goes when the process ends."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def written(name: str, data: bytes) -> Path:
    """Write an input into a file.

    Args:
        name: The file's, in the process's own folder.
        data: The input.
    """
    path = scratch() / name
    path.write_bytes(data)
    return path
