"""Reading files of bounded size into memory, whatever lies under their names."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from artifacts.files import PathLike


def opened_regular(path: PathLike) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: The file; a link is followed.

    Raises:
        OSError: It cannot be read, or is no regular file: a pipe would be waited for, a device may never end.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, os.strerror(code) if stat.S_ISDIR(mode) else "It is not a regular file", os.fspath(path))
    return os.fdopen(descriptor, "rb")


def read_bounded(path: PathLike, most: int) -> bytes:
    """Read a whole file.

    Args:
        path: The file; a link is followed.
        most: The most bytes to accept.

    Raises:
        OSError: It cannot be read; it is no regular file (a pipe would be waited for, a device may never end); or it is
            larger (EFBIG).
    """
    with opened_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        # It may have grown since, or, below /proc, be told as 0.
        data = b"" if size > most else stream.read(most + 1)
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"It has more than the {most} bytes that are accepted", os.fspath(path))
    return data
