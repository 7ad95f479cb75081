"""Results of steps in the exchange: what one machine made, another does not make again."""

from __future__ import annotations

import logging
from pathlib import Path

from artifacts.errors import DamagedBlob, MissingBlob
from artifacts.store import Blob, ContentStore
from tasks.errors import DamagedInExchange, NotInExchange
from tasks.records import Record, blobs_of
from tasks.seal import seal, unsealed
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


def recorded(workspace: Workspace, key: str, expected: type[Record]) -> Record | None:
    """Look in the exchange for a step's result.

    Args:
        workspace: Where the exchange is.
        key: The key of the result.
        expected: What it is.

    Returns:
        The result; its bytes were not looked at. None where there is none, or no exchange.

    Raises:
        ExchangeUnreachable: The exchange cannot be read.
    """
    data = None if workspace.exchange is None else workspace.exchange.record(key)
    if data is None:
        return None
    try:
        # An older program's are plain JSON, which no decay makes of a sealed one.
        return expected.model_validate_json(data if data.startswith(b"{") else unsealed(data))
    except ValueError:
        log.warning("the record %s in the exchange cannot be read; its step is done again", key)
        return None


def hand_over(workspace: Workspace, key: str, result: Record) -> None:
    """Put a result into the exchange, its bytes first; nothing where it is there, or where there is no exchange.

    Args:
        workspace: Where the bytes and the exchange are.
        key: The key of the result.
        result: The result.

    Raises:
        ExchangeUnreachable: The exchange cannot be written.
        StoreError: The bytes are missing or damaged here.
    """
    exchange = workspace.exchange
    if exchange is None:
        return
    blobs = tuple(blobs_of(result))
    exchange.offer(blobs, ContentStore(Path(workspace.store)))
    # Who came first is believed: two machines that did the same at once may differ in bytes that have no meaning.
    if recorded(workspace, key, type(result)) is None:
        exchange.put_record(key, seal(result.model_dump_json().encode()), blobs)


def missing(workspace: Workspace, result: Record) -> tuple[Blob, ...]:
    """Return those blobs of a result that are not sound here and cannot be had from the exchange.

    Args:
        workspace: Where the bytes and the exchange are.
        result: The result.

    Raises:
        ExchangeUnreachable: The exchange cannot be read.
        StoreError: What is fetched cannot be written.
    """
    return tuple(blob for blob in blobs_of(result) if not _had(workspace, blob))


def _had(workspace: Workspace, blob: Blob) -> bool:
    try:
        workspace.content.verified(blob)
    except (MissingBlob, DamagedBlob, OSError):
        # Damaged bytes are set aside, or they would lie there for ever where what is made instead has another digest.
        return False
    except DamagedInExchange as error:
        log.warning("%s", error)
        return False
    except NotInExchange:
        return False
    return True
