"""Blobs from a server into a store: whole, hashed, and under their name at once or not at all.

What has come so far lies in the store's ``incoming`` folder and outlives a kill, so that the next try, in whatever
process, goes on there. The file is locked while it grows; a second puller waits and then finds the blob.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable, Iterator, Optional

import requests

from artifacts.digest import hex_of
from artifacts.errors import DamagedBlob, NoRoom, RegistryMisbehaved, RegistryRefused
from artifacts.files import claim, free_bytes, storage_errors
from artifacts.remote.job import TryAgain
from artifacts.remote.transport import Transport, announced
from artifacts.store import Blob, ContentStore

_LOCK_POLL_S = 0.05
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_FULL_TRIES = 2


def fetch_blob(
    transport: Transport, blob: Blob, store: ContentStore, progress: Optional[Callable[[int], None]] = None
) -> Path:
    """Bring a blob into the store; one that is there is hashed again and kept.

    Args:
        transport: The server.
        blob: Which; its size bounds what is accepted.
        store: Where to.
        progress: Called with how many of its bytes are here so far; falls back when the download starts over.

    Returns:
        Where it lies in the store.

    Raises:
        NoRoom: The disk cannot hold it; nothing was asked for.
        NoSpace: The disk became full meanwhile; what came is kept.
        StoreNotWritable: The store cannot be written.
        RegistryMisbehaved: The server sent something else, twice.
        RegistryRefused: It has no such blob, or we may not have it.
        RegistryUnreachable: It failed for too long, or another process kept this blob until the deadline.
        CertificateProblem: Its certificate is not acceptable.
    """
    if not store.is_sound(blob):
        with storage_errors(store.root), _receiving(transport, blob, store) as part:
            # Another process may have brought it while we waited.
            if not store.is_sound(blob):
                _bring(transport, blob, store, part, progress)
    if progress is not None:
        progress(blob.size)
    return store.path(blob)


class _Part:
    """The file in which the bytes of a blob gather, held by its lock.

    Args:
        path: The file.
        descriptor: Holds the lock; open for reading and writing.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def have(self) -> int:
        """Return how many bytes are here."""
        return os.fstat(self._descriptor).st_size

    def restart_at(self, size: int) -> None:
        """Drop what lies behind so many bytes."""
        os.ftruncate(self._descriptor, size)

    def append(self, piece: bytes) -> None:
        """Write at the end."""
        os.lseek(self._descriptor, 0, os.SEEK_END)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def _receiving(transport: Transport, blob: Blob, store: ContentStore) -> Iterator[_Part]:
    path = store.incoming / f"{hex_of(blob.digest)}.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = claim(path)
        if descriptor is not None:
            break
        transport.job.check()
        transport.job.clock.sleep(_LOCK_POLL_S)
    try:
        yield _Part(path, descriptor)
    finally:
        # The name may be gone, or another's by now: only a part that is still ours and has nothing is removed.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()) and path.stat().st_size == 0:
                path.unlink()
        os.close(descriptor)


def _bring(
    transport: Transport, blob: Blob, store: ContentStore, part: _Part, progress: Optional[Callable[[int], None]]
) -> None:
    for left in reversed(range(_FULL_TRIES)):
        if part.have() > blob.size:
            part.restart_at(0)
        _check_room(store, blob.size - part.have(), transport.job.limits.reserve)
        transport.job.persevere(lambda: _transfer(transport, blob, part, progress), part.have)
        try:
            store.adopt(part.path, blob)
            return
        except DamagedBlob as error:
            # One of several pieces was spoiled, on the way or by a power cut: what comes in one go decides.
            part.restart_at(0)
            if not left:
                reason = f"{blob.digest} as it sends it is something else, {error.reason}"
                raise RegistryMisbehaved(transport.job.registry, reason) from error


def _check_room(store: ContentStore, missing: int, reserve: int) -> None:
    free = free_bytes(store.root)
    if missing > 0 and free is not None and free < missing + reserve:
        raise NoRoom(store.root, missing + reserve, free)


def _transfer(transport: Transport, blob: Blob, part: _Part, progress: Optional[Callable[[int], None]]) -> None:
    have = part.have()
    # Never ask for an empty range: distribution 2.8 answers it with a length that it does not send.
    if have == blob.size:
        return
    # A closed range: some servers refuse an open one. And none at all from the start: some proxies choke on it.
    headers = {"Range": f"bytes={have}-{blob.size - 1}"} if have else {}
    with transport.ask("GET", f"blobs/{blob.digest}", headers) as response:
        start = _start(transport, response, blob, have, part)
        part.restart_at(start)
        for piece in transport.pieces(response, blob.size - start):
            part.append(piece)
            if progress is not None:
                progress(part.have())
    if part.have() < blob.size:
        reason = f"{blob.digest} ended after {part.have()} of {blob.size} bytes{page_note(response)}"
        raise TryAgain(RegistryMisbehaved(transport.job.registry, reason))


def _start(transport: Transport, response: requests.Response, blob: Blob, have: int, part: _Part) -> int:
    registry, status = transport.job.registry, response.status_code
    if status == 206 and have:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have or found[3] not in ("*", str(blob.size)):
            part.restart_at(0)
            raise TryAgain(RegistryMisbehaved(registry, f"it sent another part of {blob.digest} than was asked for"))
        return have
    if status == 416:
        part.restart_at(0)
        raise TryAgain(RegistryMisbehaved(registry, f"it cannot send the rest of {blob.digest}"))
    if status == 404:
        raise absent(transport, blob)
    if status != 200:
        raise RegistryRefused(registry, f"{blob.digest}, {transport.detail(response)}", "Try another release", status)
    length = announced(response)
    if length is not None and length != blob.size:
        reason = f"{blob.digest} should have {blob.size} bytes, it would send {length}{page_note(response)}"
        raise RegistryMisbehaved(registry, reason)
    return 0


def absent(transport: Transport, blob: Blob) -> RegistryRefused:
    """Return the error for a blob that a release names and the server does not have."""
    advice = "The release there is incomplete: publish it again, or choose another"
    return RegistryRefused(transport.job.registry, f"it has no {blob.digest} in {transport.name}", advice, 404)


def page_note(response: requests.Response) -> str:
    """Return words for an error about an answer that calls itself a web page; empty for every other."""
    is_page = "html" in response.headers.get("Content-Type", "").lower()
    return "; it looks like a web page, such as the login page of a network" if is_page else ""
