"""Writing to a server: blobs as streams, manifests as they are (distribution-spec 1.1, "Push")."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Union
from urllib.parse import quote

import requests

from artifacts.digest import digest_bytes
from artifacts.errors import RegistryMisbehaved, RegistryRefused
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import TryAgain
from artifacts.store import Blob

_ADVICE = "See the registry's log; the account may lack the right to push, or the server a limit on sizes be too small"


def has_blob(registry: RemoteRegistry, blob: Blob) -> bool:
    """Ask whether the repository has a blob of this digest and size.

    Raises:
        RegistryError: The server cannot be reached, or refuses.
    """
    return registry.transport.job.persevere(lambda: _is_there(registry, blob))


def _is_there(registry: RemoteRegistry, blob: Blob) -> bool:
    with registry.transport.ask("HEAD", f"blobs/{blob.digest}") as response:
        return response.status_code == 200 and response.headers.get("Content-Length") == str(blob.size)


def upload_blob(registry: RemoteRegistry, blob: Blob, path: Path) -> None:
    """Send a blob: open an upload, then put all of it in one request, straight from the file.

    Args:
        registry: The server, opened for pushing.
        blob: Which.
        path: Its bytes; hashed by the caller, and again by the server.

    Raises:
        RegistryRefused: The server does not take it.
        RegistryMisbehaved: The server breaks the protocol, or says that it took what it does not have.
        RegistryError: It cannot be reached.
        OSError: The file cannot be read.
    """

    def send() -> None:
        with path.open("rb") as stream:
            # For an empty file requests would announce no length.
            _upload_once(registry, blob, stream if blob.size else b"")

    registry.transport.job.persevere(send)


def upload_bytes(registry: RemoteRegistry, data: bytes) -> None:
    """Send a small blob, unless it is there.

    Args:
        registry: The server, opened for pushing.
        data: Its bytes.

    Raises:
        RegistryError: As by `upload_blob`.
    """
    blob = Blob.of(data)
    if not has_blob(registry, blob):
        registry.transport.job.persevere(lambda: _upload_once(registry, blob, data))


def put_manifest(registry: RemoteRegistry, name: str, data: bytes, media_type: str) -> None:
    """Store an index or manifest under a tag, byte for byte, and read it back.

    Args:
        registry: The server, opened for pushing.
        name: The tag.
        data: The bytes.
        media_type: What they are.

    Raises:
        RegistryRefused: The server does not take it, for example because a blob is missing.
        RegistryMisbehaved: What is there afterwards is something else.
        RegistryError: It cannot be reached.
    """

    def put() -> None:
        headers = {"Content-Type": media_type}
        with registry.transport.ask("PUT", f"manifests/{name}", headers, data) as response:
            if response.status_code not in (200, 201, 202):
                raise _refusal(registry, response, f"the manifest {name}")

    registry.transport.job.persevere(put)
    found = registry.tag_digest(name)
    if found != digest_bytes(data):
        advice = (
            "Another publisher moved it at the same moment, or the server changes what it stores: look, and push again"
        )
        raise RegistryMisbehaved(registry.transport.job.registry, f"{name} names {found} right after the push", advice)


def _upload_once(registry: RemoteRegistry, blob: Blob, body: Union[BinaryIO, bytes]) -> None:
    transport = registry.transport
    with transport.ask("POST", "blobs/uploads/") as response:
        if response.status_code != 202:
            raise _refusal(registry, response, "to begin an upload")
        where = response.headers.get("Location")
        if not where:
            raise RegistryMisbehaved(transport.job.registry, "it began an upload without saying where", _ADVICE)
        # Relative or absolute, with or without a query; what is in the query has to come back to the server.
        target = transport.led_to(response.url, where)
    target += f"{'&' if '?' in target else '?'}digest={quote(blob.digest)}"
    headers = {"Content-Type": "application/octet-stream"}
    with transport.ask("PUT", target, headers, body, read_s=transport.job.limits.commit_s) as response:
        if response.status_code == 404:
            # The upload was forgotten, for example by a restart of the server: begin another.
            raise TryAgain(_refusal(registry, response, blob.digest))
        if response.status_code != 201:
            raise _refusal(registry, response, blob.digest)
    # What was acknowledged and is not there would be found out by a device, when nobody has the bytes any more.
    if not _is_there(registry, blob):
        reason = f"it took {blob.digest} and has none of {blob.size} bytes right after"
        raise TryAgain(RegistryMisbehaved(transport.job.registry, reason, _ADVICE))


def _refusal(registry: RemoteRegistry, response: requests.Response, what: str) -> RegistryRefused:
    reason = f"{what}, {registry.transport.detail(response)}"
    return RegistryRefused(registry.transport.job.registry, reason, _ADVICE, response.status_code)
