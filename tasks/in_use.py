"""Whoever builds or validates says so, so that nobody cleans under them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.in_use import in_use
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


@contextmanager
def used(workspace: Workspace) -> Iterator[None]:
    """Keep cleaning out of the store and the cache folder while the block runs; wait for one that is at work.

    May be nested, and any number of builds may do so at once. Whoever is killed keeps nobody out.

    Args:
        workspace: The folders.

    Raises:
        LockTimeout: They were being cleaned for ten minutes.
        NoSpace: The disk is full.
        StoreNotWritable: A folder cannot be written.
    """

    def waiting() -> None:
        log.info("the store is being cleaned: waiting for that to end")

    with in_use(Path(workspace.store), waiting), in_use(Path(workspace.cache), waiting):
        yield
