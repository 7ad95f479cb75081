"""Renaming: names that change places in one step, a folder that takes another's, and what no file may take that of."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Optional

# linux/fcntl.h and linux/fs.h.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def swap(first: Path, second: Path) -> bool:
    """Let two files or folders on one file system change places; at no moment is either name without one of them.

    Args:
        first: One of them.
        second: The other.

    Returns:
        Whether it was done. Where the kernel, the C library (before glibc 2.28) or the file system (NFS) cannot do
        that, nothing was.

    Raises:
        OSError: It can be done in general, and not with these two.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(second))


def take_place(new: Path, folder: Path, aside: Optional[Path]) -> None:
    """Let a folder take the place of another one, in one step where that can be done.

    Args:
        new: The folder, whole.
        folder: The place.
        aside: Where what is in the place goes when it cannot be done in one step; None where nothing is there, or an
            empty folder.

    Raises:
        OSError: It cannot be done; what was in the place is there again, unless somebody else has taken it.
    """
    if aside is not None and swap(new, folder):
        return
    if aside is not None:
        folder.rename(aside)  # until the next line there is no folder: what ends the process here leaves none
    try:
        new.rename(folder)
    except BaseException:
        if aside is not None and not folder.exists():
            aside.rename(folder)
        raise


def is_special(path: Path) -> bool:
    """Tell whether a name is that of a device, a pipe or a socket: renaming over it would take it from the system."""
    with suppress(OSError):
        mode = os.lstat(path).st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    return False
