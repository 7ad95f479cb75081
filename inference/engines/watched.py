"""Calls into a library that may never return: made in a thread of their own, so that the caller can stop waiting."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple, TypeVar

T = TypeVar("T")

_Answer = Tuple[Any, Optional[BaseException]]
if TYPE_CHECKING:
    _Orders = queue.SimpleQueue[Optional[Callable[[], Any]]]
    _Answers = queue.SimpleQueue[_Answer]

GRACE_S = 2.0
"""How long a call that is under way may still take when it is to be given up."""

_SLICE_S = 0.5


class Overdue(Exception):
    """A call has not returned in time, now or earlier; its thread is left behind and takes no further call."""


class GivenUp(Exception):
    """`Watched.close` was called while the call was under way."""


class Watched:
    """One thread, in which one call after the other is made.

    Nothing can end a thread that is inside a library. One that does not come back is left behind: it keeps what it
    uses, as freeing that under a chip which may still write to it would be worse, and it holds up nobody, the end of
    the process included.

    Args:
        name: The thread's.
    """

    def __init__(self, name: str) -> None:
        self._orders: _Orders = queue.SimpleQueue()
        self._answers: _Answers = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._lost = False
        # Not a method: the thread would keep this object, and nobody could let go of it.
        threading.Thread(target=_serve, args=(self._orders, self._answers, self._idle), name=name, daemon=True).start()
        weakref.finalize(self, self._orders.put, None).atexit = False

    def call(self, work: Callable[[], T], timeout_s: float) -> T:
        """Make a call and wait for what it gives. One caller at a time.

        Args:
            work: The call.
            timeout_s: Longest wait.

        Returns:
            What it returns.

        Raises:
            Overdue: It has not returned in time, or an earlier one has not.
            GivenUp: It was given up meanwhile.
            Exception: What it raised.
        """
        if self._lost:
            raise Overdue
        self._idle.clear()
        self._orders.put(work)
        value, error = self._answer(time.monotonic() + timeout_s)
        if error is not None:
            raise error
        result: T = value
        return result

    def _answer(self, deadline: float) -> _Answer:
        while True:
            left = deadline - time.monotonic()
            try:
                # In slices: a signal that arrives just before a wait begins is not seen before that ends.
                return self._answers.get(timeout=max(0.0, min(left, _SLICE_S)))
            except queue.Empty:
                if left <= _SLICE_S:
                    self._lost = True
                    raise Overdue from None

    def close(self) -> None:
        """End the thread; a call that is under way is waited for, but not for long. May be called twice."""
        self._orders.put(None)
        if not self._idle.wait(0.0 if self._lost else GRACE_S):
            self._lost = True
            self._answers.put((None, GivenUp()))


def _serve(orders: _Orders, answers: _Answers, idle: threading.Event) -> None:
    while True:
        work = orders.get()
        if work is None:
            return
        answer: _Answer
        try:
            answer = (work(), None)
        except BaseException as error:
            answer = (None, error)
        answers.put(answer)
        idle.set()
        del work, answer  # else they would be kept until the next call
