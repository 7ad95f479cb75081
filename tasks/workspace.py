"""Where a build keeps its things on this machine. No part of it enters a cache key."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from artifacts.files import storage_errors
from artifacts.store import ContentStore
from settings.operations import ExchangeSettings
from tasks.exchange.base import Exchange, SharedStore, exchange_of


class Workspace(BaseModel):
    """The folders of a build.

    Attributes:
        store: Content store, cache records and what explains them.
        cache: Per-user folder: compiler environments and downloads, shared by checkouts.
        sharing: Where machines that build together hand over what they made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str
    cache: str
    sharing: ExchangeSettings = ExchangeSettings()

    @property
    def content(self) -> ContentStore:
        """The content store; what it lacks comes from the exchange, where there is one."""
        exchange = self.exchange
        return ContentStore(Path(self.store)) if exchange is None else SharedStore(Path(self.store), exchange)

    @property
    def exchange(self) -> Exchange | None:
        """The exchange, None where there is none."""
        return exchange_of(self.sharing)

    @property
    def records(self) -> Path:
        """Folder of the cache records."""
        return Path(self.store) / "records"

    @property
    def explanations(self) -> Path:
        """Folder of what each step's key was made from, last time."""
        return Path(self.store) / "keys"

    @property
    def journals(self) -> Path:
        """Folder of the journals: one a flow run, one line a step."""
        return Path(self.store) / "journals"

    @property
    def logs(self) -> Path:
        """Folder of the logs of what failed."""
        return Path(self.store) / "logs"

    @property
    def layer_groups(self) -> Path:
        """Folder of what the compiler's layer-group search found, by toolchain fingerprint."""
        return Path(self.store) / "layer-groups"

    @contextmanager
    def log_file(self, label: str) -> Iterator[Path]:
        """Lend the path of a fresh log file, which stays when the block fails and is removed when it succeeds.

        Args:
            label: What it is about; part of its name.

        Yields:
            The path; the folder exists, the file does not.

        Raises:
            StoreNotWritable: The store cannot be written.
        """
        with storage_errors(self.logs):
            self.logs.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^A-Za-z0-9]+", "-", label)
        path = self.logs / f"{slug}-{os.getpid()}-{secrets.token_hex(3)}.log"
        yield path
        path.unlink(missing_ok=True)
