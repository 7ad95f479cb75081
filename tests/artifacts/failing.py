"""A disk that refuses to be written: each place of the code that writes finds it so once, and all after it as well."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Iterator, List, Optional, Set, Tuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) + os.sep for name in ("artifacts", "inference", "settings", "tasks", "flows"))

_BY_PATH = ("link", "rename", "replace", "symlink", "mkdir")
_BY_DESCRIPTOR = ("write", "fsync", "ftruncate", "posix_fallocate")
_REMOVING = ("unlink", "remove", "rmdir", "chmod")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

# Who called a function of the store matters, who called that one does less; all of it would be thousands of places.
DEPTH = 3

Place = Tuple[str, ...]


class Trouble:
    """A disk that becomes full, or read-only, at the first write from a place that was not tried before.

    A place is a call together with the last functions of ours that led to it.

    Attributes:
        place: Where it began; None as long as it is well.
        refused: How many calls were refused.
        read_only: Whether files that are there cannot be opened for writing either.
    """

    def __init__(self, below: Path, number: int, tried: Set[Place], only: Callable[[Place], bool]) -> None:
        self.place: Optional[Place] = None
        self.refused = 0
        self.read_only = number == errno.EROFS
        self._below = os.path.realpath(below)
        self._number = number
        self._tried = tried
        self._only = only

    def meet(self, call: str, path: Any) -> None:
        """Refuse a call, where it is time to."""
        text = os.fsdecode(path) if not isinstance(path, int) else _path_of(path)
        if not str(Path.cwd() / text).startswith(self._below):
            return
        if self.place is None:
            place = (*_led_here(), call)
            if place in self._tried or not self._only(place):
                return
            self._tried.add(place)
            self.place = place
        self.refused += 1
        raise OSError(self._number, os.strerror(self._number), None if isinstance(path, int) else text)


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""


def _led_here() -> Place:
    found: List[str] = []
    frame: Optional[FrameType] = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(OURS):
            found.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(reversed(found[:DEPTH]))


@contextmanager
def disk_in_trouble(
    below: Path, number: int, tried: Set[Place], only: Callable[[Place], bool] = lambda place: True
) -> Iterator[Trouble]:
    """Let this process's writes below a folder fail, from the first place on that was not tried before.

    What other processes write, and what native code writes by itself, is not met.

    Args:
        below: The folder.
        number: What the system says: ENOSPC, EDQUOT, EROFS.
        tried: The places that had their turn; the one that has it now is added.
        only: Which places count.
    """
    trouble = Trouble(below, number, tried, only)
    whole = os.open

    def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
        # On a full disk a file that is there can still be opened.
        if flags & _WRITING and (number == errno.EROFS or (flags & os.O_CREAT and not Path(path).exists())):
            trouble.meet("open", path)
        return whole(path, flags, *args, **options)

    patches: List[Any] = [mock.patch.object(os, "open", opened)]
    for name in (*_BY_PATH, *_BY_DESCRIPTOR, *(_REMOVING if number == errno.EROFS else ())):
        patches.append(mock.patch.object(os, name, _met(trouble, name, getattr(os, name))))
    patches.append(mock.patch.object(os, "sendfile", _sent(trouble, os.sendfile)))
    opening = _opening(trouble, io.open)
    patches += [mock.patch.object(io, "open", opening), mock.patch.object(builtins, "open", opening)]
    for patch in patches:
        patch.start()
    try:
        yield trouble
    finally:
        for patch in patches:
            patch.stop()


def _met(trouble: Trouble, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def meeting(first: Any, *args: Any, **options: Any) -> Any:
        target = args[0] if name in ("link", "symlink", "rename", "replace") and args else first
        trouble.meet(name, target)
        return call(first, *args, **options)

    return meeting


def _sent(trouble: Trouble, call: Callable[..., int]) -> Callable[..., int]:
    def meeting(target: int, *args: Any, **options: Any) -> int:
        trouble.meet("sendfile", target)
        return call(target, *args, **options)

    return meeting


def _opening(trouble: Trouble, whole: Callable[..., Any]) -> Callable[..., Any]:
    class File(io.FileIO):
        def write(self, data: Any) -> int:
            trouble.meet("write", self.fileno())
            return super().write(data) or 0

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return whole(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int) and (trouble.read_only or not Path(file).exists()):
            trouble.meet("open", file)
        raw = File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        stream: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return stream
        return io.TextIOWrapper(stream, encoding, errors, newline, line_buffering=buffering == 1)

    return opened
