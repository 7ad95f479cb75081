"""Looking at the locks of other processes, which flock(2) frees however their holders end."""

from __future__ import annotations

import fcntl
import os

from artifacts.files import PathLike


def is_locked(path: PathLike) -> bool:
    """Tell whether anybody holds a lock file alone; one that does not exist or cannot be opened is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that look at once do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
