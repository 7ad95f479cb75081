"""How much one input may cost: memory and time."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY_BYTES = 1 << 30
SECONDS = 10.0


class TooSlow(AssertionError):
    """An input took longer than it may."""


@contextmanager
def bounded(memory: int = MEMORY_BYTES, seconds: float = SECONDS) -> Iterator[None]:
    """Make whatever asks for more memory in the body fail, and tell whether the body took too long.

    Args:
        memory: Bytes beyond what the process has now.
        seconds: Of processor time, which a busy machine does not stretch.

    Raises:
        TooSlow: The body took longer.
        MemoryError: The body wanted more, where it does not turn that into another error.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + memory, hard))
    started = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    took = time.process_time() - started
    if took > seconds:
        raise TooSlow(f"{took:.1f} s of processor time where {seconds:g} s are allowed")


def _data_bytes() -> int:
    # proc(5), statm: the sixth number counts pages of data and stack.
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
