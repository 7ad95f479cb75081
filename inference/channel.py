"""A queue between two threads that ends in order, fails in order, and can be closed from either side."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, Generic, Optional, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    """There is nothing more to get, or nobody wants what is put."""


class Channel(Generic[Item]):
    """One thread puts, another gets and waits for that.

    An error that ends it is raised where things are got, after everything that was put before it. ``queue.Queue`` has
    neither an end nor a way to wake those who wait.
    """

    def __init__(self) -> None:
        self._items: Deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: Optional[BaseException] = None

    def put(self, item: Item) -> None:
        """Add an item.

        Raises:
            Closed: Nobody wants it.
        """
        with self._changed:
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> Item:
        """Take the oldest item, waiting for one.

        Raises:
            Closed: There will be none.
            BaseException: The error that `end` was given.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ended or bool(self._items))
            if self._items:
                return self._items.popleft()
            if self._error is not None and not self._closed:
                raise self._error
            raise Closed

    def end(self, error: Optional[BaseException] = None) -> None:
        """Say that nothing more will be put; what is in it can still be got.

        Args:
            error: What to raise after that; None where all went well.
        """
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def close(self) -> None:
        """Drop what is in it and turn away both sides. May be called twice."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
