"""Reading a bundle: each file by the manifest's list, hashed on the way, under its own name or not at all.

A bundle comes from elsewhere. What its manifest does not list is refused: other names, links, folders, another order.
Runs before there is any environment, so that nothing here needs more than Python itself.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from artifacts.digest import CHUNK_BYTES
from artifacts.errors import NoSpace, StoreNotWritable
from artifacts.files import free_bytes, storage_errors
from tasks.bundle.folder import Folder, check_folder
from tasks.bundle.lock import alone
from tasks.bundle.manifest import MAX_BYTES, NAME, BundledFile, Host, Manifest, parse, unfit
from tasks.errors import BundleRefused

MAX_HEADER_BYTES = 64 << 10

_OTHER_MACHINE = "Make a bundle for this machine, or use another Python (make build PYTHON=...)."
_DISK = "Does the disk or stick that it lies on fail? Copy it to another, then run this again."


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
        written: How many files were put in their place; the others were there already.
        read: How many were read from the bundle; the others were hashed where they were.
    """

    manifest: Manifest
    written: int
    read: int


def unpack(path: Path, folder: Path, kind: str, host: Host) -> Unpacked:
    """Unpack a bundle; files that are there are hashed and kept, so that an interrupted run is taken up.

    Args:
        path: The bundle.
        folder: Where to: new, empty, or holding an unpacked bundle, of whose files those that are not in this one are
            removed once all of this one are there.
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
            raise BundleRefused(path, reasons, _advice(path, manifest, kind))
        with storage_errors(folder):
            folder = check_folder(folder)
            with _made(folder), alone(folder.with_name(f"{folder.name}.lock")):
                return _unpacked(tar, path, Folder(folder, manifest))


def read_manifest(path: Path) -> Manifest:
    """Read what a bundle says about itself.

    Raises:
        BundleRefused: It is no bundle.
    """
    with _opened(path) as tar:
        return _manifest(tar, path)


def _unpacked(tar: tarfile.TarFile, path: Path, folder: Folder) -> Unpacked:
    try:
        read = _read(tar, path, folder)
        folder.switch()
    finally:
        folder.tidy()
    return Unpacked(folder.manifest, len(folder.missing), read)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; those of them that are empty in the end are removed again."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # What /proc says of a new folder; it would be taken for the bundle that is missing.
        raise StoreNotWritable(folder, error.strerror or str(error)) from error
    try:
        yield
    finally:
        for one in new:
            with suppress(OSError):
                one.rmdir()


def _advice(path: Path, manifest: Manifest, kind: str) -> str:
    if manifest.kind == kind or manifest.kind != "device":
        return _OTHER_MACHINE
    python = manifest.pythons.get("device", "3")
    return (
        f"It is unpacked on the board itself: mkdir bundle && tar -xf {path.name} -C bundle && "
        f"python{python} bundle/install.py"
    )


def _read(tar: tarfile.TarFile, path: Path, folder: Folder) -> int:
    """Go through the whole bundle, stage what is not in the folder yet, and return how many files that were."""
    coming = set(folder.stage())
    needed, free = sum(one.size for one in coming), free_bytes(folder.path)
    if free is not None and free < needed:
        raise NoSpace(folder.path, free)
    for one in folder.manifest.files:
        member = _next(tar, path)
        if member is None or member.name != one.name:
            found = "its end" if member is None else repr(member.name[:80])
            raise BundleRefused(path, [f"{one.name!r} is missing: {found} comes in its place"])
        _check_member(member, one, path)
        if one in coming:
            _take(tar, member, one, path, folder.staged(one))
    if (member := _next(tar, path)) is not None:
        raise BundleRefused(path, [f"it holds {member.name[:80]!r}, which its manifest does not list"])
    return len(coming)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with ExitStack() as stack:
        try:
            # Without a colon tarfile would look for compression; nothing of ours is compressed.
            tar = stack.enter_context(tarfile.open(path, mode="r:", tarinfo=_Header))
        except (tarfile.TarError, OSError, RecursionError) as error:
            raise BundleRefused(path, [f"it cannot be read as a bundle ({_said(error)})"]) from error
        yield tar


def _manifest(tar: tarfile.TarFile, path: Path) -> Manifest:
    first = _next(tar, path)
    if first is None or first.name != NAME or first.type != tarfile.REGTYPE or first.size > MAX_BYTES:
        raise BundleRefused(path, [f"it does not begin with {NAME}, as a bundle does"])
    stream = tar.extractfile(first)
    try:
        return parse(b"" if stream is None else _chunk(stream, MAX_BYTES, path, NAME))
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
    part = target.with_name(f"{target.name}.part")
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
    while chunk := _chunk(stream, CHUNK_BYTES, path, one.name):
        hasher.update(chunk)
        sink.write(chunk)
    return "sha256:" + hasher.hexdigest()


def _chunk(stream: IO[bytes], size: int, path: Path, name: str) -> bytes:
    try:
        return stream.read(size)
    except tarfile.TarError as error:
        raise BundleRefused(path, [f"it is cut short in {name!r}"]) from error
    except OSError as error:
        # Told here: else it would be taken for the disk that is written to.
        raise BundleRefused(path, [f"{name!r} cannot be read from it ({_said(error)})"], _DISK) from error


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
