"""An exchange in a repository on a registry server.

Blobs lie there by digest; a result is a small artifact that names them all, so that the server's garbage collection
keeps them, under the tag `record-<key>`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from artifacts import media
from artifacts.descriptors import EMPTY, descriptor
from artifacts.digest import canonical_json
from artifacts.errors import LayoutError, RegistryError, RegistryMisbehaved, RegistryRefused
from artifacts.oci import parse
from artifacts.reference import Reference
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Limits
from artifacts.remote.upload import has_blob, put_manifest, upload_blob, upload_bytes
from artifacts.store import Blob, ContentStore
from tasks.errors import DamagedInExchange, ExchangeUnreachable, NotInExchange

T = TypeVar("T")

RECORD_TYPE = f"application/vnd.{media.PREFIX}.record.v1+json"
MAX_RESULT_BYTES = 64 << 20

# A server that is started again is waited for, about a minute; the whole life of a connection is bounded too.
PATIENT = Limits(attempts=9)
QUICK = Limits(attempts=2, connect_s=5.0)

_ABSENT = 404
_RENEW_S = 3600.0
_ADVICE = (
    "The server does not mend it when it is sent again: remove the blob from the server's storage, or name another "
    "repository in `exchange.repository`, and run the build again."
)


class RegistryExchange:
    """An exchange on a server; see `tasks.exchange.base.Exchange` for the methods.

    Args:
        home: Server and repository.
        limits: How patient to be.
    """

    def __init__(self, home: Reference, limits: Limits = PATIENT) -> None:
        self.place = home.home
        self._home = home
        self._limits = limits
        # A connection serves one thread at a time.
        self._local = threading.local()

    def prepare(self) -> None:
        """See `Exchange.prepare`."""
        with self._opened(QUICK) as registry:
            self._asked(lambda: upload_bytes(registry, EMPTY))

    def fetch(self, blob: Blob, store: ContentStore) -> None:
        """See `Exchange.fetch`."""
        try:
            self._registry().fetch(blob, store)
        except RegistryMisbehaved as error:
            raise DamagedInExchange(self.place, blob.digest, error.reason, _ADVICE) from error
        except RegistryRefused as error:
            if error.status != _ABSENT:
                raise ExchangeUnreachable(self.place, str(error)) from error
            raise NotInExchange(self.place, blob.digest) from error
        except RegistryError as error:
            raise ExchangeUnreachable(self.place, str(error)) from error

    def offer(self, blobs: Sequence[Blob], store: ContentStore) -> None:
        """See `Exchange.offer`."""
        registry = self._registry()
        for blob in blobs:
            if not self._asked(lambda blob=blob: has_blob(registry, blob)):  # type: ignore[misc]
                path = store.verified(blob)
                self._asked(lambda blob=blob, path=path: upload_blob(registry, blob, path))  # type: ignore[misc]

    def record(self, key: str) -> bytes | None:
        """See `Exchange.record`."""
        return self._asked(lambda: self._read(key))

    def put_record(self, key: str, data: bytes, blobs: Sequence[Blob]) -> None:
        """See `Exchange.put_record`."""
        distinct = {blob.digest: blob for blob in blobs}.values()
        layers = [descriptor(RECORD_TYPE, Blob.of(data)), *(descriptor(media.UNKNOWN, blob) for blob in distinct)]
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": media.MANIFEST,
                "artifactType": RECORD_TYPE,
                "config": descriptor(media.EMPTY_CONFIG, Blob.of(EMPTY)),
                "layers": layers,
            }
        )

        def put() -> None:
            for small in (EMPTY, data):
                upload_bytes(registry, small)
            put_manifest(registry, _tag(key), manifest, media.MANIFEST)

        registry = self._registry()
        self._asked(put)

    def _read(self, key: str) -> bytes | None:
        registry = self._registry()
        found = registry.tag_digest(_tag(key))
        if found is None:
            return None
        try:
            first = parse(registry.resolve(found)[1], "a manifest")["layers"][0]
            return registry.read(Blob(digest=first["digest"], size=first["size"]), MAX_RESULT_BYTES)
        except (LayoutError, RegistryMisbehaved, LookupError, TypeError, ValueError):
            return b""  # something else has the tag, or it is damaged: no record, as half a one is none

    def _registry(self) -> RemoteRegistry:
        # Made anew now and then: all that is asked through one connection has one deadline together.
        opened: tuple[float, RemoteRegistry] | None = getattr(self._local, "opened", None)
        if opened is None or time.monotonic() - opened[0] > _RENEW_S:
            if opened is not None:
                opened[1].close()
            opened = self._local.opened = (time.monotonic(), self._opened(self._limits))
        return opened[1]

    def _opened(self, limits: Limits) -> RemoteRegistry:
        home = self._home
        return self._asked(lambda: RemoteRegistry(home.place, home.repository, limits=limits, actions="pull,push"))

    def _asked(self, attempt: Callable[[], T]) -> T:
        try:
            return attempt()
        except RegistryError as error:
            raise ExchangeUnreachable(self.place, str(error)) from error


def _tag(key: str) -> str:
    return f"record-{key}"
