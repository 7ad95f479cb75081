"""Ending a build on request: SIGINT (Ctrl-C), SIGTERM and SIGHUP stop it within seconds, whatever it is doing.

Everything finished is in the store, and nothing half done is visible there, so that a build may be stopped anywhere.
"""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 8.0

_POLL_S = 0.2


class Stopped(Exception):
    """The work was stopped by a signal.

    Attributes:
        number: Which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_status(self) -> int:
        """What a shell reports of a process that the signal ended."""
        return 128 + self.number


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Note the signals that arrive while the block runs, in place of what they would do.

    Yields:
        Their numbers, in order. It stays empty outside the main thread, where signals cannot be handled.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    with _handled_by(note):
        yield received


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals end the block where it stands, as Ctrl-C does; for work that is safe to leave anywhere.

    What it opened is closed and what it began is removed on the way out. A second signal does not wait for that.

    Raises:
        Stopped: A signal came.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            leave(128 + number)
        # No Exception: nothing that handles errors on the way may take it for one.
        raise KeyboardInterrupt

    with _handled_by(interrupt):
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(received[0] if received else signal.SIGINT) from None


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def run_until_stopped(
    work: Callable[[], T],
    received: list[int],
    *,
    spared: Collection[int] = (),
    farewell: Callable[[], None],
    lost: Callable[[], Exception | None] = lambda: None,
) -> T:
    """Run work in a thread of its own while this one listens to signals.

    On the first signal all processes that this one started are ended, which makes the work fail soon. Work that goes on
    nevertheless (it computes, or waits for another build) is abandoned after `GRACE_S`, or at a second signal, by
    ending this process.

    Args:
        work: What to run, in a copy of this thread's context.
        received: Signals, as `noted_signals` yields them.
        spared: Ids of processes that are not ended.
        farewell: Called before the work is given up as stopped.
        lost: Returns an error once something is gone without which the work cannot end; asked now and then. The work's
            thread is left behind then, so that only `leave` ends this process at once.

    Returns:
        What the work returns. Work that is done before it can be stopped counts.

    Raises:
        Stopped: A signal came.
        Exception: What the work raised, or what `lost` returned.
    """
    thread = _Thread(contextvars.copy_context(), work)
    thread.start()
    deadline = None
    while thread.is_alive():
        thread.join(_POLL_S)
        if not received:
            error = lost()
            if error is not None:
                end_children(spared)
                raise error
            continue
        if deadline is None:
            log.info("stopping (%s) ...", signal.Signals(received[0]).name)
            deadline = time.monotonic() + GRACE_S
        end_children(spared)
        if thread.is_alive() and (time.monotonic() >= deadline or len(received) > 1):
            farewell()
            log.info("stopped; what is finished is kept, and the next run goes on from there")
            leave(128 + received[0])
    if received and thread.error is not None:
        farewell()
        raise Stopped(received[0]) from thread.error
    return thread.outcome()


def end_children(spared: Collection[int]) -> None:
    """Ask the processes that this one started to end; each takes those with it that it started itself."""
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            for child in listing.read_text().split():
                if int(child) not in spared:
                    with suppress(ProcessLookupError):
                        os.kill(int(child), signal.SIGTERM)


class _Thread(threading.Thread, Generic[T]):
    def __init__(self, context: contextvars.Context, work: Callable[[], T]) -> None:
        super().__init__(name="work", daemon=True)
        self._context = context
        self._work = work
        self._results: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._context.run(self._work))
        except BaseException as error:
            self.error = error

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self._results[0]


def leave(status: int) -> NoReturn:
    """End this process without waiting for its threads, as sys.exit would."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
