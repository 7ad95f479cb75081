"""Standard output that may go away under a command: a pipe whose reader has ended, a disk that is full."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import Any, Callable, Optional

_FAILED = 1


class _Output(io.TextIOWrapper):
    """Takes note of the first failure and writes nowhere from then on, so that the command's work is not cut short.

    Attributes:
        lost: What the operating system said; None while all is well.
    """

    lost: Optional[OSError] = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        # What is still buffered would be tried again, and fail again when the interpreter ends.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def ended(command: Callable[..., int], *arguments: Any) -> int:
    """Run a command to its end, whatever becomes of its standard output.

    Args:
        command: Returns the exit status.
        arguments: Its arguments.

    Returns:
        The command's exit status. Where that is 0 and output was lost: as of a signal (SIGPIPE) when nobody read any
        more, which `| head` does and needs no word; else 1, and the reason is on standard error.
    """
    before = sys.stdout
    buffer = getattr(before, "buffer", None)
    if buffer is None:  # closed before we were started, or not a stream of bytes
        return command(*arguments)
    before.flush()
    output = _Output(buffer, encoding=before.encoding, errors=before.errors, line_buffering=bool(before.line_buffering))
    sys.stdout = output
    try:
        status = command(*arguments)
    finally:
        output.flush()
        sys.stdout = before
        output.detach()
    if output.lost is None or status != 0:
        return status
    if isinstance(output.lost, BrokenPipeError):
        return 128 + signal.SIGPIPE
    reason = output.lost.strerror or str(output.lost)
    print(
        f"error: the standard output cannot be written: {reason}. What else the command does is done; make space there "
        "or send it elsewhere, and run it again to read it",
        file=sys.stderr,
    )
    return _FAILED
