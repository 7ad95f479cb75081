"""What a hostile input is, and what may come of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from tests.fuzz.bounds import bounded

WAIT_S = 60


class Case(NamedTuple):
    """One hostile input.

    Attributes:
        name: What it is.
        run: Hands it to its reader. What comes out of this is a fault of ours.
    """

    name: str
    run: Callable[[], object]


class Endless(AssertionError):
    """A reader waits for something that never comes."""


def held(case: Case) -> None:
    """Run a case within bounds of time and memory.

    Args:
        case: The input.

    Raises:
        AssertionError: It took too long or too much, or was taken where it should not.
        Exception: The reader let out what it does not declare.
    """
    with bounded(), _alarm():
        case.run()


def refused(work: Callable[[], object], *errors: type[Exception]) -> Callable[[], None]:
    """Make what passes only where the work is refused.

    Args:
        work: Hands an input to its reader.
        errors: What the reader declares.
    """

    def run() -> None:
        try:
            found = work()
        except errors as error:
            # A message has to be printable, and to say something.
            assert len(str(error).encode()) > 20
            return
        raise AssertionError(f"it was taken: {str(found)[:100]}")

    return run


def either(work: Callable[[], object], *errors: type[Exception]) -> Callable[[], None]:
    """Make what passes where the work succeeds or is refused.

    Args:
        work: Hands an input to its reader.
        errors: What the reader declares.
    """

    def run() -> None:
        try:
            work()
        except errors as error:
            str(error).encode()

    return run


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Endless(f"it was still at work after {WAIT_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(WAIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
