"""Reading files of bounded size into memory, whatever lies under their names."""

from __future__ import annotations

import errno
import os
import stat

from artifacts.files import PathLike


def read_bounded(path: PathLike, most: int) -> bytes:
    """Read a whole file.

    Args:
        path: The file; a link is followed.
        most: The most bytes to accept.

    Raises:
        OSError: It cannot be read; it is no regular file (a pipe would be waited for, a device may never end); or it is
            larger (EFBIG).
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file", os.fspath(path))
        # The size may have grown since, or, below /proc, be told as 0.
        data = b"" if found.st_size > most else stream.read(most + 1)
    if max(found.st_size, len(data)) > most:
        raise OSError(errno.EFBIG, f"It has more than the {most} bytes that are accepted", os.fspath(path))
    return data
