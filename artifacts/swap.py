"""Letting two names change places in one step, which rename(2) cannot do with folders that hold something."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

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
