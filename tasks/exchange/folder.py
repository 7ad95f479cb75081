"""An exchange in a folder that all machines see.

Layout::

    exchange.json        says that this is one: a share that is not mounted is an empty folder
    blobs/sha256/<hex>   as in every store; scratch/ and quarantine/ too
    records/<key>.json   what was made under a key
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from artifacts.errors import DamagedBlob, MissingBlob, StoreError
from artifacts.files import atomic_write
from artifacts.store import Blob, ContentStore
from tasks.errors import DamagedInExchange, ExchangeUnreachable, NotInExchange

T = TypeVar("T")

log = logging.getLogger(__name__)

MARK = "exchange.json"
PATIENCE_S = (1.0, 2.0, 4.0, 8.0, 15.0)

_ADVICE = (
    "It was put aside there (quarantine/). Run the build again: whichever machine still has it hands it over again, "
    "and else it is made again."
)


class FolderExchange:
    """An exchange in a folder; see `tasks.exchange.base.Exchange` for the methods.

    Args:
        root: The folder; the same on all machines, or mounted elsewhere on some.
        waits: How long to wait between tries while the folder is away, in seconds.
    """

    def __init__(self, root: Path, waits: Sequence[float] = PATIENCE_S) -> None:
        self.root = root
        self.place = str(root)
        self._store = ContentStore(root)
        self._waits = tuple(waits)

    def prepare(self) -> None:
        """See `Exchange.prepare`. Makes the folder into an exchange where it is none."""
        try:
            with self._store.scratch("prepare"):
                if not self._mark.exists():
                    atomic_write(self._mark, b'{"schema": 1}\n')
        except (OSError, StoreError) as error:
            raise ExchangeUnreachable(self.place, str(error)) from error

    def fetch(self, blob: Blob, store: ContentStore) -> None:
        """See `Exchange.fetch`."""
        try:
            source = self._patiently(lambda: self._store.path(blob))
        except MissingBlob:
            raise NotInExchange(self.place, blob.digest) from None
        with store.scratch("fetch") as folder:
            copy = folder / "copy"
            self._patiently(lambda: shutil.copyfile(source, copy))
            try:
                store.adopt(copy, blob)
            except DamagedBlob as error:
                raise self._set_aside(blob, error.reason) from error

    def offer(self, blobs: Sequence[Blob], store: ContentStore) -> None:
        """See `Exchange.offer`."""
        for blob in blobs:
            if not self._patiently(lambda blob=blob: self._has(blob)):  # type: ignore[misc]
                path = store.verified(blob)
                self._patiently(lambda path=path: self._store.put_file(path))  # type: ignore[misc]

    def record(self, key: str) -> bytes | None:
        """See `Exchange.record`."""

        def read() -> bytes | None:
            path = self._record(key)
            return path.read_bytes() if path.exists() else None

        return self._patiently(read)

    def put_record(self, key: str, data: bytes, blobs: Sequence[Blob]) -> None:
        """See `Exchange.put_record`."""
        self._patiently(lambda: atomic_write(self._record(key), data))

    @property
    def _mark(self) -> Path:
        return self.root / MARK

    def _record(self, key: str) -> Path:
        return self.root / "records" / f"{key}.json"

    def _has(self, blob: Blob) -> bool:
        # By size alone: whoever takes it hashes it, and puts aside what is damaged, so that it is missing here then.
        try:
            return self._store.path(blob).stat().st_size == blob.size
        except (MissingBlob, FileNotFoundError):
            return False

    def _set_aside(self, blob: Blob, reason: str) -> DamagedInExchange:
        try:
            self._store.verified(blob)
        except DamagedBlob as error:
            reason = error.reason
        except (StoreError, OSError) as error:
            log.warning("a damaged file in the exchange could not be put aside: %s", error)
        return DamagedInExchange(self.place, blob.digest, reason, _ADVICE)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        # A share that is away for a moment gives errors of its own, or an empty folder in its place.
        for wait in (*self._waits, None):
            try:
                if not self._mark.exists():
                    raise FileNotFoundError(f"there is no {MARK} in it")
                return attempt()
            except MissingBlob:
                raise
            except (OSError, StoreError) as error:
                if wait is None:
                    raise ExchangeUnreachable(self.place, str(error)) from error
                log.info("the exchange %s is away (%s): trying again in %g s", self.place, error, wait)
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")
