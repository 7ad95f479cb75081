"""A content store: bytes under the name of their own digest, safe for several processes and threads.

Layout below the root::

    blobs/sha256/<hex>               read-only files (the folder scheme of OCI image-layout 1.1)
    scratch/<label>-<pid>-<random>/  working folders of live processes; beside each a ``.lock`` that its owner holds
    incoming/<hex>.part              what has come so far of blobs that are being fetched; survives its process
    quarantine/<hex>-<random>        damaged blobs, kept for inspection
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ContextManager, List, Optional

from artifacts.blob import Blob, Digest
from artifacts.checking import Problem, Told, Wanted, check_files, why_unsound
from artifacts.digest import CHUNK_BYTES, digest_stream, hex_of
from artifacts.errors import MAKE_AGAIN, DamagedBlob, MissingBlob, StoreNotWritable
from artifacts.files import PathLike, fsync_folder, locked, storage_errors
from artifacts.scratch import scratch_file, scratch_folder, sweep_parts, sweep_scratch

__all__ = ["Blob", "ContentStore", "Digest", "Problem"]

BLOB_MODE = 0o444
_LOCK_NAME = ".lock"
_PART_KEPT_S = 7 * 86400.0
_NO_HARD_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)


class ContentStore:
    """Bytes by digest in one folder, the root, which is made when something is first written.

    Args:
        root: The folder.
        advice: What to do about bytes that are missing or damaged there; ends an error's message.
    """

    def __init__(self, root: PathLike, advice: str = MAKE_AGAIN) -> None:
        self.root = Path(root).absolute()
        self.advice = advice
        self._blobs = self.root / "blobs" / "sha256"
        self._scratch = self.root / "scratch"
        self._quarantine = self.root / "quarantine"
        self.incoming = self.root / "incoming"

    def put_bytes(self, data: bytes) -> Blob:
        """Store bytes; a no-op when they are there and sound.

        Returns:
            Their name.

        Raises:
            NoSpace: The file system is full.
            StoreNotWritable: The root cannot be written.
        """
        blob = Blob.of(data)
        if not self.is_sound(blob):
            return self._write([data])
        self.settle()
        return blob

    def put_file(self, path: PathLike) -> Blob:
        """Store a copy of a file's bytes; a no-op when they are there and sound.

        The name is made from the bytes as they were copied, so a file that changes meanwhile cannot spoil the store.

        Returns:
            Their name.

        Raises:
            OSError: The file cannot be read.
            NoSpace: The file system is full.
            StoreNotWritable: The root cannot be written.
        """
        with Path(path).open("rb") as source:
            blob = Blob(digest=digest_stream(source), size=source.tell())
            if self.is_sound(blob):
                self.settle()
                return blob
            source.seek(0)
            return self._write(iter(lambda: source.read(CHUNK_BYTES), b""))

    def adopt(self, part: Path, blob: Blob) -> Path:
        """Make a finished file on this store's file system a blob: hash it, sync it, rename it.

        Returns:
            Where the bytes lie now.

        Raises:
            DamagedBlob: It holds other bytes; it stays where it is.
            NoSpace: The file system is full.
            StoreNotWritable: The root cannot be written.
            OSError: The file cannot be read.
        """
        with storage_errors(self.root), part.open("rb") as stream:
            reason = _why_unsound(stream, blob)
            if reason is not None:
                raise DamagedBlob(blob.digest, part, reason, advice=self.advice)
            os.fsync(stream.fileno())
            self._publish(part, blob)
            # Last: a part that a kill leaves read-only could not be opened for writing by the next try.
            os.fchmod(stream.fileno(), BLOB_MODE)
        return self._path(blob)

    def path(self, blob: Blob) -> Path:
        """Return where the bytes lie, without looking at them; use `verified` before relying on them.

        Raises:
            MissingBlob: Nothing is stored under this digest.
        """
        path = self._path(blob)
        if not path.is_file():
            raise MissingBlob(blob.digest, path, self.advice)
        return path

    def verified(self, blob: Blob) -> Path:
        """Return where the bytes lie after hashing them; damaged bytes are moved to quarantine.

        Raises:
            MissingBlob: Nothing is stored under this digest.
            DamagedBlob: The stored bytes are others.
        """
        path = self._path(blob)
        try:
            with path.open("rb") as stream:
                reason = _why_unsound(stream, blob)
                if reason is not None:
                    raise DamagedBlob(blob.digest, path, reason, self._set_aside(path, stream), self.advice)
        except (FileNotFoundError, IsADirectoryError):
            raise MissingBlob(blob.digest, path, self.advice) from None
        except OSError as error:
            # A disk that cannot read a sector is damage too (EIO); no permission is not.
            if error.errno != errno.EIO:
                raise
            raise DamagedBlob(blob.digest, path, str(error), advice=self.advice) from error
        return path

    def is_sound(self, blob: Blob) -> bool:
        """Tell whether the bytes are there and hash to their name; changes nothing."""
        try:
            with self._path(blob).open("rb") as stream:
                return _why_unsound(stream, blob) is None
        except OSError:
            return False

    def link(self, blob: Blob, target: PathLike) -> Path:
        """Materialise verified bytes under a chosen name, read-only: a hard link, or a copy where links cannot be.

        A hard link shares its bytes with the store: never open it for writing (root could).

        Args:
            blob: What to materialise.
            target: The name; missing folders are made, an existing file is replaced.

        Returns:
            The target as a path.

        Raises:
            MissingBlob: Nothing is stored under this digest.
            DamagedBlob: The stored bytes are others.
            NoSpace: The target's file system is full.
            StoreNotWritable: The target's folder cannot be written.
        """
        source, final = self.verified(blob), Path(target)
        part = final.with_name(f".{secrets.token_hex(8)}.part")
        with storage_errors(final.parent):
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link_or_copy(source, part, blob)
                part.replace(final)
                fsync_folder(final.parent)
            finally:
                # Renaming one link of a file over another link of it does nothing and keeps both (POSIX rename).
                with suppress(FileNotFoundError):
                    part.unlink()
        return final

    def scratch(self, label: str) -> ContextManager[Path]:
        """Make a working folder on the store's file system; see `artifacts.scratch.scratch_folder`."""
        return scratch_folder(self._scratch, label)

    def settle(self) -> None:
        """Make the names of all blobs durable.

        A blob that another process made, and was killed over, has its name, and can still lose it in a power cut: this
        comes before such a blob is relied on for good.

        Raises:
            NoSpace: The file system is full.
            StoreNotWritable: It became read-only.
        """
        with storage_errors(self.root):
            fsync_folder(self._blobs)

    def sweep(self) -> List[Path]:
        """Remove what dead processes left, parts of unfinished fetches only after a week; what is in use stays.

        Returns:
            What was removed.

        Raises:
            StoreNotWritable: Something cannot be removed for lack of permission.
        """
        return sweep_scratch(self._scratch) + sweep_parts(self.incoming, _PART_KEPT_S)

    def verify_all(self, told: Optional[Told] = None) -> List[Problem]:
        """Hash every stored blob and report what is wrong; changes nothing.

        Args:
            told: Called with the bytes of each when it was looked at.

        Returns:
            One entry for each damaged or unreadable blob and each stray file, the strays first.
        """
        paths = sorted(self._blobs.iterdir()) if self._blobs.is_dir() else []
        strays = [path for path in paths if re.fullmatch(r"[0-9a-f]{64}", path.name) is None]
        wanted = [Wanted(path, f"sha256:{path.name}") for path in paths if path not in set(strays)]
        return [
            *(Problem(path, "is no blob: its name is not a digest") for path in strays),
            *check_files(wanted, told),
        ]

    def _path(self, blob: Blob) -> Path:
        return self._blobs / hex_of(blob.digest)

    def _write(self, chunks: Iterable[bytes]) -> Blob:
        hasher, size = hashlib.sha256(), 0
        with storage_errors(self.root), scratch_file(self._scratch, "put") as (descriptor, part):
            with os.fdopen(descriptor, "wb", closefd=False) as stream:
                for chunk in chunks:
                    hasher.update(chunk)
                    size += stream.write(chunk)
            os.fchmod(descriptor, BLOB_MODE)
            os.fsync(descriptor)
            blob = Blob(digest="sha256:" + hasher.hexdigest(), size=size)
            self._publish(part, blob)
        return blob

    def _publish(self, part: Path, blob: Blob) -> None:
        if not self._blobs.is_dir():
            self._blobs.mkdir(parents=True, exist_ok=True)
            for folder in (self.root.parent, self.root, self._blobs.parent):
                fsync_folder(folder)
        path = self._path(blob)
        with locked(self.root / _LOCK_NAME):
            if path.is_dir() and not path.is_symlink():
                self._quarantine.mkdir(exist_ok=True)
                path.replace(self._aside(path))
            part.replace(path)
        fsync_folder(self._blobs)

    def _aside(self, path: Path) -> Path:
        return self._quarantine / f"{path.name}-{secrets.token_hex(4)}"

    def _set_aside(self, path: Path, hashed: BinaryIO) -> Optional[Path]:
        # Under the lock and only the very file that was hashed: another process may just have stored a sound one. The
        # hashed file is still open, or the sound one could have got its inode number.
        aside = self._aside(path)
        with suppress(StoreNotWritable, FileNotFoundError), locked(self.root / _LOCK_NAME), storage_errors(self.root):
            if os.path.samestat(path.stat(), os.fstat(hashed.fileno())):
                self._quarantine.mkdir(exist_ok=True)
                path.replace(aside)
                return aside
        return None


def _why_unsound(stream: BinaryIO, blob: Blob) -> Optional[str]:
    return why_unsound(stream, blob.digest, blob.size)


def _link_or_copy(source: Path, part: Path, blob: Blob) -> None:
    try:
        os.link(source, part)
        return
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
    shutil.copyfile(source, part)
    with part.open("rb") as stream:
        reason = _why_unsound(stream, blob)
        os.fchmod(stream.fileno(), BLOB_MODE)
        os.fsync(stream.fileno())
    if reason is not None:
        raise DamagedBlob(blob.digest, source, f"while it was copied, {reason}")
