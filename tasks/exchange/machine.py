"""Which machine this is: a step that was sent here by another one works in this one's folders, with its compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from settings.operations import ExchangeSettings
from tasks.journal import Entry
from tasks.provide import own_toolchain
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace


class Machine(BaseModel):
    """A machine that does steps for others.

    Attributes:
        name: What it is called in messages.
        store: Its store.
        cache: Its folder for compiler environments and downloads.
        exchange_folder: Where it sees the folder of the exchange; None where everybody sees it in the same place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    store: str
    cache: str
    exchange_folder: str | None = None

    def workspace(self, sent: Workspace) -> Workspace:
        """Return this machine's folders in place of those of the machine that sent them."""
        sharing = sent.sharing
        if sharing.folder is not None and self.exchange_folder is not None:
            sharing = ExchangeSettings(folder=Path(self.exchange_folder))
        return Workspace(store=self.store, cache=self.cache, sharing=sharing)


_visited: ContextVar[tuple[Machine, Callable[[Entry], None]] | None] = ContextVar("machine", default=None)


@contextmanager
def working_on(machine: Machine, tell: Callable[[Entry], None]) -> Iterator[None]:
    """Let steps of the block, which another machine sent, work on this one.

    Args:
        machine: This one.
        tell: Called with what each step notes, for the journal of the machine that sent it.
    """
    token = _visited.set((machine, tell))
    try:
        yield
    finally:
        _visited.reset(token)


def own_workspace(sent: Workspace) -> Workspace:
    """Return the folders to work in: those that were given, unless another machine sent them."""
    visited = _visited.get()
    return sent if visited is None else visited[0].workspace(sent)


def own(value: Any) -> Any:
    """Return an argument of a step as this machine has it: its own folders, and its own compiler.

    A compiler that is not here is provisioned first; other values stay as they are.

    Raises:
        ToolchainDiffers: The compiler here is another one.
        ProvisionFailed: There is none, and it cannot be made.
    """
    visited = _visited.get()
    if visited is None:
        return value
    if isinstance(value, Workspace):
        return visited[0].workspace(value)
    return own_toolchain(value, visited[0].cache) if isinstance(value, Toolchain) else value


def tell(entry: Entry) -> None:
    """Tell the machine that sent a step what it notes; nobody where it was not sent."""
    visited = _visited.get()
    if visited is not None:
        visited[1](entry)
