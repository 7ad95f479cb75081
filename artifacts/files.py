"""Writing files so that a crash, a kill or a power cut leaves either the old content or the new, never a part.

The order is always: write a temporary file in the same folder, fsync it, rename it, fsync the folder. Without the two
fsyncs an ext4 file can keep its new name and lose its bytes in a power cut.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional, Tuple, Union

from artifacts.errors import DiskFailed, FolderInTheWay, LockTimeout, NoSpace, StoreError, StoreNotWritable
from artifacts.swap import is_special

FILE_MODE = 0o644
_PART = ".part"
_RANDOM_BYTES = 6
_LONGEST_SUFFIX = 32
_LOCK_POLL_S = 0.02
_CLAIM_ATTEMPTS = 50
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FAILED = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR)

PathLike = Union[str, "os.PathLike[str]"]


@contextmanager
def storage_errors(path: PathLike) -> Iterator[None]:
    """Turn "disk full", "not writable" and "broken" of the operating system into our errors, leave all others alone.

    Args:
        path: Where the body writes; named in the error.

    Raises:
        NoSpace: ENOSPC or EDQUOT in the body.
        StoreNotWritable: EROFS in the body; or EACCES, EPERM, ENOTDIR or a file in a folder's place, on the path, below
            it or on the way to it.
        DiskFailed: EIO, ENXIO, ENODEV or ESTALE in the body.
        FolderInTheWay: A folder in a file's place there.
    """
    try:
        yield
    except OSError as error:
        found = disk_trouble(error, path)
        if found is not None:
            raise found from error
        if error.errno in _NOT_WRITABLE and _is_near(error.filename, path):
            raise StoreNotWritable(Path(path), error.strerror or str(error)) from error
        if error.errno == errno.EISDIR and _is_near(error.filename, path):
            # Of a rename, the second name is what is in the way.
            raise FolderInTheWay(Path(os.fsdecode(error.filename2 or error.filename or path))) from error
        # What mkdir says of a file where a folder should be.
        if isinstance(error, FileExistsError) and _is_near(error.filename, path) and Path(error.filename).is_file():
            raise StoreNotWritable(Path(path), f"{error.filename} is a file, not a folder") from error
        raise


def disk_trouble(error: OSError, path: PathLike) -> Optional[StoreError]:
    """Return our error for what the disk itself says: full, read-only, broken; None for anything else.

    Args:
        error: What the operating system said.
        path: Where something was being written; the error names it, unless the operating system named another place.
    """
    where = Path(path if _is_near(error.filename, path) else error.filename)
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return NoSpace(where, free_bytes(where))
    if error.errno == errno.EROFS:
        return StoreNotWritable(where, reason)
    return DiskFailed(where, reason) if error.errno in _FAILED else None


def _is_near(filename: object, path: PathLike) -> bool:
    # A body may also read elsewhere: a source that this user may not read is not a store that cannot be written.
    if not isinstance(filename, (str, os.PathLike)):
        return True
    folder, found = Path(path).absolute(), Path(filename).absolute()
    return folder in (found, *found.parents) or found in folder.parents


def free_bytes(path: PathLike) -> Optional[int]:
    """Return the bytes that this user may still write where the path lies, or None when that cannot be told.

    The path need not exist: the nearest folder above it that exists is asked.
    """
    here = Path(path).absolute()
    for folder in (here, *here.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def fsync_folder(folder: PathLike) -> None:
    """Make the names in a folder durable: a rename is only safe once its folder is synced.

    Raises:
        OSError: The folder cannot be opened or synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def claimed(path: PathLike) -> int:
    """Make a file under a name that nobody else uses, with its folder, and hold its lock.

    Args:
        path: The file; its name should be random.

    Returns:
        An open descriptor that holds the lock until it is closed.

    Raises:
        OSError: The file cannot be made.
        RuntimeError: Another keeps the lock of this very name.
    """
    for _ in range(_CLAIM_ATTEMPTS):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # A sweeper may look at the new file before it is locked, and so hold the lock for a moment and remove the file,
        # or remove the empty folder.
        with suppress(FileNotFoundError):
            descriptor = claim(path)
            if descriptor is not None:
                return descriptor
        time.sleep(_LOCK_POLL_S)
    raise RuntimeError(f"{path} could not be made in {_CLAIM_ATTEMPTS} attempts: something else uses or removes it")


def claim(path: PathLike) -> Optional[int]:
    """Open a file, made when it is missing, and take its lock if nobody holds it.

    The lock is a flock: the kernel frees it when the holder ends, however it ends, so a reused process id cannot fool
    anybody. The name is checked after locking, because a sweeper may have removed the file in between.

    Args:
        path: A file; its folder must exist.

    Returns:
        An open descriptor that holds the lock until it is closed, or None when another holds it.

    Raises:
        OSError: The file cannot be opened or made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), Path(path).stat()):
                    return descriptor
            os.close(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise


@contextmanager
def locked(path: PathLike, timeout_s: Optional[float] = None) -> Iterator[None]:
    """Hold the lock file of this name while the body runs; one holder at a time among processes and threads.

    The file stays behind, empty. A killed holder frees the lock. Not re-entrant.

    Args:
        path: The lock file; made, with its folder, when missing.
        timeout_s: Seconds to wait; None waits for ever.

    Raises:
        LockTimeout: Another held the lock for all of that time.
        StoreNotWritable: The lock file cannot be made or opened for writing.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with storage_errors(Path(path).parent):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise LockTimeout(Path(path), float(timeout_s or 0)) from None
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staged(target: PathLike) -> Iterator[Path]:
    """Let the body write a temporary file that becomes the target only when the body succeeds.

    The temporary file lies beside the target, keeps its suffix, and is empty at first; write into it, in place. On
    success it is synced, gets mode 0644 and is renamed over the target. On an error it is removed and the target is as
    it was. What a killed process left for the same target is removed on entry.

    Args:
        target: The final name; missing folders above it are made.

    Yields:
        The temporary file's path.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written, or the target is a device, a pipe or a socket.
    """
    final = Path(target)
    with storage_errors(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        if is_special(final):
            raise StoreNotWritable(final, "it is a device, a pipe or a socket, not a file")
        _remove_leftovers(final)
        before, after = _part_affixes(final)
        part = final.with_name(before + secrets.token_hex(_RANDOM_BYTES) + after)
        descriptor = claimed(part)
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.chmod(FILE_MODE)
            part.replace(final)
            fsync_folder(final.parent)
        finally:
            with suppress(OSError):  # the next who writes this target removes it
                part.unlink()
            os.close(descriptor)


def atomic_write(path: PathLike, data: bytes) -> None:
    """Write a whole file so that a reader sees either the old content or all of the new.

    Args:
        path: The file; missing folders above it are made.
        data: Its new content.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    with staged(path) as part:
        part.write_bytes(data)


def _part_affixes(final: Path) -> Tuple[str, str]:
    # Tools choose a format by the suffix, so it is kept. A name has 255 bytes, so both ends are bounded.
    stem = final.stem.encode()[:60].decode(errors="ignore")
    suffix = final.suffix if len(final.suffix.encode()) <= _LONGEST_SUFFIX else ""
    return f".{stem}.", _PART + suffix


def _remove_leftovers(final: Path) -> None:
    before, after = _part_affixes(final)
    ours = re.compile(re.escape(before) + rf"[0-9a-f]{{{2 * _RANDOM_BYTES}}}" + re.escape(after))
    for entry in final.parent.iterdir():
        if ours.fullmatch(entry.name):
            remove_if_abandoned(entry)


def remove_if_abandoned(path: Path) -> bool:
    """Remove a claimed file whose claimer is gone.

    Args:
        path: A file that its maker holds by `claim` for as long as it is in use.

    Returns:
        True when it was removed; False when it is in use or already gone.

    Raises:
        OSError: The file cannot be opened or removed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            return False
        path.unlink()
        return True
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
