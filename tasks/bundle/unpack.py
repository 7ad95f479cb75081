"""Reading a bundle: each file by the manifest's list, hashed on the way, under its own name or not at all.

A bundle comes from elsewhere. What its manifest does not list is refused: other names, links, folders, another order.
Runs before there is any environment, so that nothing here needs more than Python itself.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from artifacts.digest import CHUNK_BYTES, digest_file
from artifacts.errors import NoSpace
from artifacts.files import atomic_write, free_bytes, locked, storage_errors
from tasks.bundle.manifest import MAX_BYTES, NAME, BundledFile, Host, Manifest, encoded, parse, unfit
from tasks.errors import BundleRefused

MAX_HEADER_BYTES = 64 << 10

_OTHER_MACHINE = "Make a bundle for this machine, or use another Python (make build PYTHON=...)."


class _Header(tarfile.TarInfo):
    """A header whose extension, such as a long name, is no larger than ours are: tarfile reads it into memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in tarfile.REGULAR_TYPES and self.size > MAX_HEADER_BYTES:
            raise tarfile.HeaderError("a header is too large")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return found


class Unpacked(NamedTuple):
    """What unpacking did.

    Attributes:
        manifest: The bundle's.
        written: How many files were written; the others were there already.
    """

    manifest: Manifest
    written: int


def unpack(path: Path, folder: Path, kind: str, host: Host) -> Unpacked:
    """Unpack a bundle; files that are there are hashed and kept, so that an interrupted run is taken up.

    Args:
        path: The bundle.
        folder: Where to: new, empty, or holding an unpacked bundle, of which what is not in this one is removed.
        kind: What it is wanted for, `build` or `device`.
        host: This machine.

    Returns:
        What it holds.

    Raises:
        BundleRefused: It is no bundle, damaged, cut short, holds what it does not list, or does not fit this machine;
            or the folder holds something else.
        NoSpace: The disk cannot hold it.
        StoreNotWritable: The folder cannot be written.
    """
    with _opened(path) as tar:
        manifest = _manifest(tar, path)
        if reasons := unfit(manifest, kind, host):
            raise BundleRefused(path, reasons, _OTHER_MACHINE)
        with storage_errors(folder):
            _check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder.with_name(f"{folder.name}.lock")):
                return _unpacked(tar, path, folder, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read what a bundle says about itself.

    Raises:
        BundleRefused: It is no bundle.
    """
    with _opened(path) as tar:
        return _manifest(tar, path)


def _unpacked(tar: tarfile.TarFile, path: Path, folder: Path, manifest: Manifest) -> Unpacked:
    head = folder / NAME
    _remove_others(folder, manifest)
    atomic_write(head, encoded(manifest))
    missing = {one.name for one in manifest.files if not _is_there(folder / one.name, one)}
    needed, free = sum(one.size for one in manifest.files if one.name in missing), free_bytes(folder)
    if free is not None and free < needed:
        raise NoSpace(folder, free)
    for one in manifest.files:
        member = _next(tar, path)
        if member is None or member.name != one.name:
            found = "its end" if member is None else repr(member.name[:80])
            raise BundleRefused(path, [f"{one.name!r} is missing: {found} comes in its place"])
        _check_member(member, one, path)
        if one.name in missing:
            _take(tar, member, one, path, folder / one.name)
    if (member := _next(tar, path)) is not None:
        raise BundleRefused(path, [f"it holds {member.name[:80]!r}, which its manifest does not list"])
    return Unpacked(manifest, len(missing))


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        # Without a colon tarfile would look for compression; nothing of ours is compressed.
        with tarfile.open(path, mode="r:", tarinfo=_Header) as tar:
            yield tar
    except (tarfile.TarError, OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.filename not in (str(path), None):
            raise
        raise BundleRefused(path, [f"it cannot be read as a bundle ({_said(error)})"]) from error


def _manifest(tar: tarfile.TarFile, path: Path) -> Manifest:
    first = _next(tar, path)
    if first is None or first.name != NAME or first.type != tarfile.REGTYPE or first.size > MAX_BYTES:
        raise BundleRefused(path, [f"it does not begin with {NAME}, as a bundle does"])
    stream = tar.extractfile(first)
    try:
        return parse(stream.read(MAX_BYTES) if stream else b"")
    except ValueError as error:
        raise BundleRefused(path, [str(error)]) from error


def _next(tar: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    try:
        member = tar.next()
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise BundleRefused(path, [f"it is damaged or cut short ({_said(error)})"]) from error
    tar.members = []  # type: ignore[attr-defined]  # it would keep them all
    return member


def _check_member(member: tarfile.TarInfo, one: BundledFile, path: Path) -> None:
    if member.type != tarfile.REGTYPE or member.issparse():
        raise BundleRefused(path, [f"{one.name!r} is a link, a folder or something else that is no plain file"])
    if member.size != one.size:
        raise BundleRefused(path, [f"{one.name!r} has {member.size} bytes instead of {one.size}"])


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, one: BundledFile, path: Path, target: Path) -> None:
    stream = tar.extractfile(member)
    if stream is None:
        raise BundleRefused(path, [f"{one.name!r} cannot be read"])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as sink:
            found = _copied(stream, sink, path, one)
        if found != one.digest:
            raise BundleRefused(path, [f"{one.name!r} holds other bytes than its manifest says"])
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copied(stream: IO[bytes], sink: IO[bytes], path: Path, one: BundledFile) -> str:
    hasher = hashlib.sha256()
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except tarfile.TarError as error:
            raise BundleRefused(path, [f"it is cut short in {one.name!r}"]) from error
        if not chunk:
            return "sha256:" + hasher.hexdigest()
        hasher.update(chunk)
        sink.write(chunk)


def _check_folder(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BundleRefused(folder, ["it is no folder"], "Name another folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
        raise BundleRefused(folder, ["it holds something else than a bundle"], "Name another folder.")


def _remove_others(folder: Path, manifest: Manifest) -> None:
    """Remove what another bundle left: an installer takes every package that lies there. And links: they lead away."""
    wanted = {NAME, *(one.name for one in manifest.files)}
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (not path.is_dir() and name not in wanted):
            path.unlink()
        elif path.is_dir() and name in wanted:
            shutil.rmtree(path)
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _is_there(path: Path, one: BundledFile) -> bool:
    return path.is_file() and path.stat().st_size == one.size and digest_file(path) == one.digest


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
