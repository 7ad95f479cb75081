"""The cache records behind a key: one generation after the other, until one may be used or is yet to be made."""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from pathlib import Path

from prefect.results import ResultStore

from artifacts.files import storage_errors
from tasks.errors import KeyFailure
from tasks.exchange.sharing import hand_over, missing, recorded
from tasks.records import Record
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

_MAX_GENERATIONS = 1000


def usable_key(
    store: ResultStore, key: str, expected: type[Record], workspace: Workspace
) -> tuple[str, bool, tuple[str, ...]]:
    """Find the generation of a key that may be used.

    Args:
        store: The cache records.
        key: The key of the first generation.
        expected: What a sound record holds.
        workspace: Where the bytes are.

    Returns:
        The key to use; whether its record stands and its bytes are sound; digests of what was missing or damaged, or
        `record` where that is the record itself.
    """
    damaged: tuple[str, ...] = ()
    for generation in range(_MAX_GENERATIONS):
        candidate = key if generation == 0 else f"{key}-{generation}"
        _set_aside_what_is_no_file(workspace, candidate)
        # What is no record at all, such as half a one, does not exist either.
        here = store.exists(candidate)
        found = _read(store, candidate, expected) if here else recorded(workspace, candidate, expected)
        if found is None and not here:
            return candidate, False, damaged
        unsound = ("record",) if found is None else tuple(blob.digest for blob in missing(workspace, found))
        if found is not None and not unsound:
            return candidate, _kept(store, candidate, found, workspace, here), ()
        damaged = unsound
    raise KeyFailure(
        f"The store {workspace.store} lost the result of {key} {_MAX_GENERATIONS} times. Is its disk failing? Check "
        "it, or use another folder by `--set store.path=FOLDER`."
    )


def _read(store: ResultStore, key: str, expected: type[Record]) -> Record | None:
    try:
        record = store.read(key)
        if Path(record.metadata.storage_key or "").name != key:
            raise ValueError("it is that of another step")
        result = record.result
    except Exception as error:  # whatever is wrong with a record, it is made again
        log.warning("a cache record cannot be read (%s); its step is done again", error)
        return None
    # A record of a class that is no longer there comes back as plain JSON.
    return result if isinstance(result, expected) else None


def _set_aside_what_is_no_file(workspace: Workspace, key: str) -> None:
    """Prefect writes through a link, and cannot write where a folder is."""
    for path in (workspace.records / key, workspace.records / ".locks" / key):
        # A link in a lock's place locks as well, and somebody may hold it.
        if path.is_dir() or (path.is_symlink() and path.parent == workspace.records):
            set_aside(workspace, path)


def set_aside(workspace: Workspace, path: Path) -> None:
    """Move something out of the way that is no file of ours, for somebody to look at.

    Args:
        workspace: Where the quarantine is.
        path: What lies there in a file's place.

    Raises:
        StoreNotWritable: It cannot be moved.
    """
    log.warning("%s is no file of ours: set aside", path)
    aside = workspace.content.root / "quarantine" / f"{path.name}-{secrets.token_hex(4)}"
    with storage_errors(aside.parent), suppress(FileNotFoundError):
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)


def _kept(store: ResultStore, key: str, result: Record, workspace: Workspace, here: bool) -> bool:
    if here:
        hand_over(workspace, key, result)  # it may be older than the exchange, or have been lost there
        return True
    try:
        store.write(result, key=key)
    except RuntimeError:  # another build on this machine is just making it: it has the lock, and is waited for
        return False
    return True
