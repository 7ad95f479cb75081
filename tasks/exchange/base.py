"""The exchange: where machines that build together hand over bytes and results, both named by what they are made from.

Each machine has a store of its own. What a step made is handed over before its record is, so that a record in the
exchange can be believed as far as the exchange keeps its bytes; whoever takes bytes hashes them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from artifacts.errors import DamagedBlob, MissingBlob
from artifacts.reference import parse_reference
from artifacts.store import Blob, ContentStore
from settings.operations import ExchangeSettings
from tasks.exchange.folder import FolderExchange
from tasks.exchange.registry import RegistryExchange


class Exchange(Protocol):
    """A place that all machines reach.

    Attributes:
        place: Its name in messages.
    """

    place: str

    def prepare(self) -> None:
        """Make sure that it is there and can be written; does not wait for it.

        Raises:
            ExchangeUnreachable: It cannot be used.
        """

    def fetch(self, blob: Blob, store: ContentStore) -> None:
        """Bring a blob into a store, hashed.

        Raises:
            NotInExchange: It is not there.
            DamagedInExchange: What is there is something else.
            ExchangeUnreachable: The exchange cannot be read.
            StoreError: The store cannot be written.
        """

    def offer(self, blobs: Sequence[Blob], store: ContentStore) -> None:
        """Hand over those blobs of a store that are not there.

        Raises:
            ExchangeUnreachable: The exchange cannot be written.
            StoreError: A blob is missing or damaged in the store.
        """

    def record(self, key: str) -> bytes | None:
        """Return what was recorded under a key, None where nothing was.

        Raises:
            ExchangeUnreachable: The exchange cannot be read.
        """

    def put_record(self, key: str, data: bytes, blobs: Sequence[Blob]) -> None:
        """Record a result under a key.

        Args:
            key: The key of a step's result.
            data: The result.
            blobs: All blobs that it names; they are there.

        Raises:
            ExchangeUnreachable: The exchange cannot be written.
        """


class SharedStore(ContentStore):
    """A machine's own store that gets from the exchange what it lacks, when it is wanted.

    Args:
        root: The folder.
        exchange: Where from.
    """

    def __init__(self, root: Path, exchange: Exchange) -> None:
        super().__init__(root)
        self.exchange = exchange

    def path(self, blob: Blob) -> Path:
        """As `ContentStore.path`, but what is missing is fetched.

        Raises:
            ExchangeError: It cannot be had.
        """
        try:
            return super().path(blob)
        except MissingBlob:
            self.exchange.fetch(blob, ContentStore(self.root))
        return super().path(blob)

    def verified(self, blob: Blob) -> Path:
        """As `ContentStore.verified`, but what is missing or damaged is fetched.

        Raises:
            ExchangeError: It cannot be had.
        """
        try:
            return super().verified(blob)
        except (MissingBlob, DamagedBlob):
            self.exchange.fetch(blob, ContentStore(self.root))
        return super().path(blob)


def exchange_of(settings: ExchangeSettings) -> Exchange | None:
    """Return the exchange that the settings name, one object a process; None where they name none."""
    return _opened(None if settings.folder is None else str(Path(settings.folder).absolute()), settings.repository)


@functools.lru_cache(maxsize=16)
def _opened(folder: str | None, repository: str | None) -> Exchange | None:
    if folder is not None:
        return FolderExchange(Path(folder))
    return None if repository is None else RegistryExchange(parse_reference(repository))
