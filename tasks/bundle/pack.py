"""Writing a bundle: a tar without compression, for wheels and images are compressed already."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from artifacts.digest import digest_file
from artifacts.errors import NoSpace, StoreNotWritable
from artifacts.files import FILE_MODE, free_bytes, staged, storage_errors
from tasks.bundle.manifest import NAME, BundledFile, Manifest, check_names, encoded
from tasks.errors import BundleNotMade

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BLOCK = 512


class Packed(NamedTuple):
    """A file that was written.

    Attributes:
        size: In bytes.
        digest: Of all of it.
    """

    size: int
    digest: str


def listed(files: Mapping[str, Path]) -> tuple[BundledFile, ...]:
    """Hash what goes into a bundle.

    Args:
        files: Name in the bundle to the file.

    Returns:
        The list, by name.

    Raises:
        BundleNotMade: Names that cannot lie in one folder together.
        OSError: A file cannot be read.
    """
    try:
        check_names(files)
    except ValueError as error:
        raise BundleNotMade(f"The bundle was not made: {error}. Rename that file.") from error
    return tuple(BundledFile(name, path.stat().st_size, digest_file(path)) for name, path in sorted(files.items()))


def checked_target(target: Path) -> Path:
    """Find out now, rather than after the work, whether a bundle can be written under a name.

    Returns:
        The name, absolute.

    Raises:
        BundleNotMade: It is a folder.
        StoreNotWritable: Its folder cannot be made or written.
    """
    target = target.absolute()
    if target.is_dir():
        raise BundleNotMade(f"{target} is a folder: name a file for the bundle.")
    try:
        with storage_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=target.parent):
                return target
    except FileNotFoundError as error:  # what /proc says of a new file
        raise StoreNotWritable(target.parent, error.strerror or str(error)) from error


def pack(manifest: Manifest, files: Mapping[str, Path], target: Path) -> Packed:
    """Write a bundle under a temporary name, and rename it when it is whole. Equal contents give equal bytes.

    Args:
        manifest: What it holds.
        files: Name in the bundle to the file, for all that the manifest lists.
        target: The file to make; one that is there is replaced.

    Returns:
        What was written.

    Raises:
        NoSpace: The disk cannot hold it.
        StoreNotWritable: The folder cannot be written.
        BundleNotMade: A file changed meanwhile.
    """
    head = encoded(manifest)
    needed = sum(one.size + 3 * _BLOCK for one in manifest.files) + len(head) + 10 * _BLOCK
    # Where the name is a link, what it leads to is written.
    with storage_errors(target), staged(os.path.realpath(target)) as part:
        free = free_bytes(target.parent)
        if free is not None and free < needed:
            raise NoSpace(target, free)
        with _Hashed(io.FileIO(part, "wb")) as stream:
            _write(stream, manifest, files, head)
            return Packed(stream.tell(), "sha256:" + stream.hasher.hexdigest())


class _Hashed(io.BufferedWriter):
    """A file that is hashed as it is written, from its begin to its end: reading gigabytes again takes its time."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self.hasher = hashlib.sha256()

    def write(self, data: ReadableBuffer, /) -> int:
        self.hasher.update(data)
        return super().write(data)


def _write(stream: IO[bytes], manifest: Manifest, files: Mapping[str, Path], head: bytes) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_member(NAME, len(head)), io.BytesIO(head))
        for one in manifest.files:
            path = files[one.name]
            if path.stat().st_size != one.size:
                raise BundleNotMade(f"{path} changed while the bundle was written. Make the bundle again.")
            with path.open("rb") as source:
                tar.addfile(_member(one.name, one.size), source)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, FILE_MODE
    return member
