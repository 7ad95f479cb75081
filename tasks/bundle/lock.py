"""A lock that leaves no file behind. Needs nothing but Python itself, as what unpacks a bundle."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.files import claim

_POLL_S = 0.05


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file of this name while the body runs, and remove it then; whoever else wants it waits.

    Args:
        path: The file; its folder must exist.

    Raises:
        OSError: The file cannot be made.
    """
    while (held := claim(path)) is None:
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        # Before it is let go: a claim that waits looks whether the name is still there.
        path.unlink(missing_ok=True)
        os.close(held)
