"""Local files and folders as sources."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import FailureKind, MirrorFailure, SourceMissing
from tasks.sources.pace import Job
from tasks.sources.part import Part, check_room

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

_CHUNK = 1 << 20


def copy(path: Path, part: Part, job: Job) -> None:
    """Copy a local file into a partial file, from its start.

    Args:
        path: The file.
        part: The partial file; not verified afterwards.
        job: Deadline and progress.

    Raises:
        MirrorFailure: The file is missing, is not a regular file, cannot be read, or has another size than expected.
        DownloadStopped: The deadline passed, or the job was called off.
        NoSpaceForDownload: The disk cannot hold the file.
        TargetUnusable: The partial file cannot be written.
    """
    with opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        expected = part.expected.size
        if expected is not None and size != expected:
            raise MirrorFailure(FailureKind.WRONG_BYTES, f"has {size:,} bytes where {expected:,} are expected")
        check_room(part.path, size - part.have, job.options.reserve)
        part.accept(str(path), 0, None)
        job.meter.begin(0, size)
        while chunk := _read(descriptor):
            job.check()
            part.write(chunk)
            job.meter.advance(len(chunk))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError as error:
        raise MirrorFailure(FailureKind.REFUSED, f"cannot be read: {error.strerror}") from error


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file for reading.

    Args:
        path: The file.

    Yields:
        An open descriptor.

    Raises:
        MirrorFailure: It is missing, cannot be read, or is a folder, pipe or device.
    """
    try:
        # Not blocking: opening a pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise MirrorFailure(FailureKind.MISSING, "there is no such file") from None
    except OSError as error:
        raise MirrorFailure(FailureKind.REFUSED, f"cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MirrorFailure(FailureKind.REFUSED, "is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def list_folder(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """List the images of a folder, not those of folders in it.

    Args:
        folder: The folder.
        suffixes: What the names may end in, in lower case; the names' own case does not matter.

    Returns:
        The files, by name without regard to case, in an order that is the same on every machine. At least one.

    Raises:
        SourceMissing: The folder is missing, cannot be listed, or holds no such file.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise _no_images(folder, f"cannot be listed ({error.strerror})") from error
    visible = [entry for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    images = [entry for entry in visible if entry.suffix.lower() in suffixes]
    if not images:
        others = Counter(entry.suffix.lower() or "no suffix" for entry in visible)
        found = ", ".join(f"{count} with {suffix}" for suffix, count in others.most_common(5)) or "nothing"
        raise _no_images(folder, f"holds no {', '.join(suffixes)} file, but {found}")
    return sorted(images, key=lambda image: (image.name.casefold(), image.name))


def _no_images(folder: Path, reason: str) -> SourceMissing:
    failure = MirrorFailure(FailureKind.MISSING, reason)
    failure.mirror = str(folder)
    return SourceMissing("the image folder", [failure])
