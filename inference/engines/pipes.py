"""Frames over a pair of pipes, with deadlines: the client's end of the worker's protocol."""

from __future__ import annotations

import os
import select
import time
from typing import Any, Dict, Optional, Tuple

import numpy as np

from inference.engines.worker_main import frame_parts, read_frame


class FramePipes:
    """Sends and receives whole frames, never waiting beyond a deadline.

    Both descriptors become non-blocking; they stay the caller's to close.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)

    def send(self, header: Dict[str, Any], arrays: Optional[Dict[str, np.ndarray]], deadline: float) -> None:
        """Send one frame.

        Args:
            header: What can be said in JSON.
            arrays: Arrays by name, or None.
            deadline: ``time.monotonic()`` seconds.

        Raises:
            TimeoutError: The other side did not take it in time.
            BrokenPipeError: There is no other side any more.
        """
        for part in frame_parts(header, arrays):
            rest = memoryview(part)
            while rest:
                self._wait(self._write_fd, select.POLLOUT, deadline)
                try:
                    rest = rest[os.write(self._write_fd, rest) :]
                except BlockingIOError:
                    continue

    def receive(self, deadline: float) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
        """Receive one frame: its header, and its arrays by name.

        Args:
            deadline: ``time.monotonic()`` seconds.

        Raises:
            TimeoutError: It did not arrive in time.
            EOFError: There is no other side any more.
            ValueError: What arrived is no frame.
        """
        return read_frame(lambda count: self._read_exactly(count, deadline))

    def _read_exactly(self, count: int, deadline: float) -> bytearray:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._wait(self._read_fd, select.POLLIN, deadline)
            try:
                received = os.readv(self._read_fd, [rest])
            except BlockingIOError:
                continue
            if received == 0:
                raise EOFError
            rest = rest[received:]
        return data

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError
