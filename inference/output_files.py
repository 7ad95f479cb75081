"""Files of results that are whole whenever they have their name."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator, Optional, Type

from artifacts.errors import ArtifactError
from artifacts.files import staged
from artifacts.swap import is_special
from inference.errors import OutputError


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into an `OutputError` that names it.

    Args:
        path: The file or folder.

    Raises:
        OutputError: The body raised an OSError or an error of the store's.
    """
    try:
        yield
    except (OSError, ArtifactError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise OutputError(f"{path} cannot be written: {reason}", path) from error


def place_of(path: Path) -> Path:
    """Return the file that a name stands for: a link stays, and what it leads to is written.

    Args:
        path: As the user named it; it need not exist.

    Raises:
        OutputError: It is a device, a pipe or a socket, which a file must not take the place of.
    """
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if is_special(place):
        raise OutputError(f"{path} cannot be written: it is a device, a pipe or a socket. Name a file", path)
    return place


def check_writable(path: Path) -> None:
    """Find out now, rather than after the work, whether a file can be written.

    Args:
        path: The file, which need not exist.

    Raises:
        OutputError: It is a folder or no file, or its own folder does not exist or cannot be written.
    """
    path = place_of(path)
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder. Name a file", path)
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or name another", path)
    with output_errors(path), tempfile.TemporaryFile(dir=str(path.parent)):
        pass


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that a reader sees whole or not at all.

    Unlike `artifacts.files.atomic_write` it neither waits for the disk nor looks through the folder for leftovers:
    a folder may get a hundred thousand pictures, which can be made again after a power cut.

    Args:
        path: The file; its folder exists.
        data: Its content.

    Raises:
        OutputError: It cannot be written.
    """
    path = place_of(path)
    part = path.with_name(f".{path.name}.part")
    with output_errors(path):
        try:
            part.write_bytes(data)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


class JsonList:
    """A JSON array that is written entry by entry, however long it becomes.

    It has its name only from `close` on, or from the end of the ``with`` block, also where that ends by an error: what
    was added before is whole then.
    """

    def __init__(self, path: Path, *, indent: Optional[int] = None) -> None:
        """Make the temporary file.

        Args:
            path: The final name; missing folders are made.
            indent: As in ``json.dumps``, for each entry; None puts each on one line.

        Raises:
            OutputError: The folder cannot be made or written.
        """
        self.path = path
        self.entries = 0
        self._indent = indent
        with output_errors(path), ExitStack() as stack:
            part = stack.enter_context(staged(place_of(path)))
            self._stream = stack.enter_context(part.open("w", encoding="utf-8"))
            self._stack = stack.pop_all()

    def add(self, entry: Any) -> None:
        """Add an entry.

        Args:
            entry: What JSON can say.

        Raises:
            OutputError: It cannot be written.
        """
        text = json.dumps(entry, indent=self._indent, ensure_ascii=False, allow_nan=False)
        with output_errors(self.path):
            self._stream.write(("[\n" if self.entries == 0 else ",\n") + text)
        self.entries += 1

    def close(self) -> None:
        """Finish the file and give it its name. May be called twice.

        Raises:
            OutputError: It cannot be written; there is no file then, or the one that was there before.
        """
        with output_errors(self.path), self._stack:
            if not self._stream.closed:
                self._stream.write("\n]\n" if self.entries else "[]\n")

    def __enter__(self) -> JsonList:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
