"""The partial file beside a target: what is here so far, who may add to it, and how it becomes the target."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifacts.bounded import read_bounded
from artifacts.files import claim, free_bytes, fsync_folder, remove_if_abandoned
from artifacts.strict_json import decoded
from tasks.errors import FailureKind, MirrorFailure, NoSpaceForDownload, TargetUnusable
from tasks.sources.model import Expected, Fetched, Hashers
from tasks.sources.pace import Job
from tasks.sources.rules import Resume

_CHUNK = 1 << 20
_MOST_NOTE_BYTES = 1 << 16
_LOCK_POLL_S = 0.05


@contextmanager
def using(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into ours.

    Args:
        path: What the body reads or writes.

    Raises:
        NoSpaceForDownload: The disk or the quota is full.
        TargetUnusable: Any other refusal.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceForDownload(path, None, free_bytes(path)) from error
        raise TargetUnusable(path, error.strerror or str(error)) from error


def check_room(path: Path, needed: int, reserve: int) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        path: Where it will be written.
        needed: Bytes still to be written.
        reserve: Bytes that must stay free beside them.

    Raises:
        NoSpaceForDownload: There is less.
    """
    free = free_bytes(path)
    if needed > 0 and free is not None and free < needed + reserve:
        raise NoSpaceForDownload(path, needed + reserve, free)


def part_path(target: Path) -> Path:
    """Return where the bytes of a target are gathered."""
    return target.with_name(target.name + ".part")


class Part:
    """The partial file of one target, held by one downloader at a time.

    The lock is on the file itself, so that nothing but the target is left behind in its folder.
    """

    def __init__(self, target: Path, expected: Expected, descriptor: int) -> None:
        self.path = part_path(target)
        self.target = target
        self.expected = expected
        self.have = 0
        # Whether the bytes here came in more than one go, so that they may be pieces of different files.
        self.pieced = False
        self._descriptor = descriptor
        self._note = _note_path(target)
        self._committed = False
        self._hashers = Hashers(expected.algorithm)
        self._origin: str | None = None
        self._validator: str | None = None
        self._resume_old()

    def _resume_old(self) -> None:
        note = self._read_note()
        size = os.fstat(self._descriptor).st_size
        # Without a digest nothing would tell that a power cut left holes in what was here.
        known = self.expected.digest is not None and note.get("digest") == self.expected.digest
        if not known or (self.expected.size is not None and size > self.expected.size):
            self.restart()
            return
        self._origin, self._validator = note.get("origin"), note.get("validator")
        with using(self.path):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            while chunk := os.read(self._descriptor, _CHUNK):
                self._hashers.update(chunk)
                self.have += len(chunk)
        self.pieced = self.have > 0

    def _read_note(self) -> dict[str, str | None]:
        with suppress(OSError, ValueError):
            note = decoded(read_bounded(self._note, _MOST_NOTE_BYTES))
            if isinstance(note, dict):
                return {key: value for key, value in note.items() if isinstance(value, str)}
        return {}

    def resume_at(self, mirror: str) -> Resume:
        """Return from where a mirror can go on; what only another could complete is dropped first.

        Args:
            mirror: Its address. Only a hash of it is kept: it may carry secrets.
        """
        same = self._origin == _mark(mirror)
        if self.expected.digest is None and not (same and self._validator):
            self.restart()
        return Resume(have=self.have, validator=self._validator if same else None)

    def accept(self, mirror: str, offset: int, validator: str | None) -> None:
        """Make ready for a body.

        Args:
            mirror: Where it comes from.
            offset: Where its first byte belongs: at the end of what is here, or 0 to start over.
            validator: Its version's mark.

        Raises:
            NoSpaceForDownload: The disk is full.
            TargetUnusable: The folder cannot be written.
        """
        if offset == 0:
            self.restart()
        self.pieced = self.pieced or offset > 0
        self._origin, self._validator = _mark(mirror), validator
        note = {"digest": self.expected.digest, "origin": self._origin, "validator": validator}
        with using(self._note):
            self._note.write_text(json.dumps(note), "utf-8")

    def restart(self) -> None:
        """Drop all bytes."""
        with using(self.path):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.have, self._hashers = 0, Hashers(self.expected.algorithm)
        self._origin = self._validator = None
        self.pieced = False

    def write(self, chunk: bytes) -> None:
        """Add bytes at the end.

        Raises:
            NoSpaceForDownload: The disk is full; what fitted is kept.
            TargetUnusable: The disk refuses for another reason.
        """
        rest = memoryview(chunk)
        while rest:
            with using(self.path):
                written = os.write(self._descriptor, rest)
            self._hashers.update(rest[:written])
            self.have += written
            rest = rest[written:]

    def verify(self) -> str:
        """Compare all bytes with what is expected.

        Returns:
            Their `sha256:` digest.

        Raises:
            MirrorFailure: They are others.
        """
        expected = self.expected
        if expected.size is not None and self.have != expected.size:
            reason = f"gave {self.have:,} bytes where {expected.size:,} are expected"
            short = self.have < expected.size
            raise MirrorFailure(FailureKind.PASSING if short else FailureKind.WRONG_BYTES, reason, discard=not short)
        actual = self._hashers.digest(expected.algorithm)
        if expected.digest is not None and actual != expected.digest:
            reason = f"gave {self.have:,} bytes with {actual}, expected {expected.digest}"
            raise MirrorFailure(FailureKind.WRONG_BYTES, reason, discard=True)
        return self._hashers.digest()

    def commit(self) -> None:
        """Make the bytes the target, at once and durably; they must have been verified.

        Raises:
            NoSpaceForDownload: The disk is full.
            TargetUnusable: The folder cannot be written, or the target is a folder.
        """
        with using(self.target):
            os.fsync(self._descriptor)
            # Before the rename: from then on the names belong to whoever waits for them.
            self._note.unlink(missing_ok=True)
            self.path.replace(self.target)
            self._committed = True
            fsync_folder(self.target.parent)

    def close(self) -> None:
        """Let go of the file; one without a byte leaves nothing behind."""
        if not self._committed and self.have == 0:
            with suppress(OSError):
                self._note.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


@contextmanager
def open_part(target: Path, expect: Callable[[], Expected], job: Job) -> Iterator[Part]:
    """Hold a target's partial file while the body runs; waits while another downloader holds it.

    Args:
        target: The final name; missing folders above it are made.
        expect: Returns what the bytes must be; asked once the wait is over, as another may have recorded it meanwhile.
            Older partial bytes of anything else are dropped.
        job: Bounds the wait.

    Yields:
        The partial file.

    Raises:
        DownloadStopped: The deadline passed while waiting.
        NoSpaceForDownload: The disk is full.
        TargetUnusable: The folder cannot be written.
    """
    with using(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with using(target):
            descriptor = claim(part_path(target))
        if descriptor is not None:
            break
        job.sleep(_LOCK_POLL_S)
    try:
        part = Part(target, expect(), descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    try:
        yield part
    finally:
        part.close()


def in_place(target: Path, expected: Expected, *, tidy: bool = True) -> Fetched | None:
    """Look whether the target is there already, and whether its bytes are the expected ones.

    Args:
        target: The final name.
        expected: What the bytes must be. Without a digest nothing can be said of bytes that lie there.
        tidy: Whether partial bytes that nobody needs any more are removed.

    Returns:
        What is there; None when it is missing or other bytes.

    Raises:
        TargetUnusable: It is there and cannot be read.
    """
    if expected.digest is None or not target.is_file():
        return None
    with using(target):
        size = target.stat().st_size
        if expected.size is not None and size != expected.size:
            return None
        hashers = Hashers(expected.algorithm)
        with target.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hashers.update(chunk)
        if hashers.digest(expected.algorithm) != expected.digest:
            return None
    # A leftover matters to nobody now; where it cannot be removed, the folder is read-only and the target still good.
    with suppress(OSError):
        if tidy and remove_if_abandoned(part_path(target)):
            _note_path(target).unlink(missing_ok=True)
    return Fetched(path=target, digest=hashers.digest(), size=size, mirror=None)


def _note_path(target: Path) -> Path:
    return target.with_name(target.name + ".part.meta")


def _mark(mirror: str) -> str:
    return hashlib.sha256(mirror.encode()).hexdigest()
