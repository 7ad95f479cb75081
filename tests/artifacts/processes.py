"""Child processes for tests that kill, race or lose them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, List

# What changes the disk. A process that is killed before any one of these calls has done all before it and none after.
CALLS = ("fsync", "link", "rename", "replace", "symlink", "unlink", "mkdir", "rmdir")


def _fork(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return child


def killed_after(seconds: float, action: Callable[[], object]) -> bool:
    """Run an action in a child, kill it with SIGKILL after some seconds; True when it was killed before its end."""
    child = _fork(action)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed_before(number: int, action: Callable[[], object]) -> bool:
    """Let a child kill itself before its n-th call that changes the disk; False when the action has fewer."""

    def run() -> None:
        left = number

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def maybe(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return maybe

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        _patch_pathlib()
        action()

    status = os.waitpid(_fork(run), 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def _patch_pathlib() -> None:
    # Before 3.10 pathlib holds the calls that it found when it was imported.
    accessor = getattr(__import__("pathlib"), "_NormalAccessor", None)
    for name in CALLS:
        if accessor is not None and hasattr(accessor, name):
            setattr(accessor, name, staticmethod(getattr(os, name)))


def as_nobody(action: Callable[[], object]) -> int:
    """Run an action in a child without root's rights; return its exit status (0: ended without error)."""

    def run() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        action()

    return os.waitpid(_fork(run), 0)[1]


def all_at_once(actions: List[Callable[[], object]]) -> List[int]:
    """Run each action in a child of its own at the same moment; return their exit statuses (0: ended without error)."""
    reader, writer = os.pipe()

    def wait_and(action: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            os.close(writer)
            os.read(reader, 1)
            action()

        return run

    children = [_fork(wait_and(action)) for action in actions]
    os.close(writer)
    os.close(reader)
    return [os.waitpid(child, 0)[1] for child in children]


@contextmanager
def living(action: Callable[[Callable[[], None]], object]) -> Iterator[int]:
    """Run an action in a child until the body ends; the body starts when the action calls its argument.

    Yields:
        The child's process id. It is killed at the end, if it still lives.
    """
    reader, writer = os.pipe()

    def ready() -> None:
        os.write(writer, b"r")

    def run() -> None:
        action(ready)

    child = _fork(run)
    try:
        os.close(writer)
        assert os.read(reader, 1) == b"r", "the child ended before it was ready"
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
