"""Cache records as they lie on the disk, read without Prefect. Reads, and changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from artifacts.store import Blob
from tasks.seal import KIND, unsealed

_WRITTEN_S = 0.3


class Named(NamedTuple):
    """What a record names.

    Attributes:
        needed: Bytes without which it is no hit.
        logs: Bytes that only tell how it came about.
    """

    needed: frozenset[Blob]
    logs: frozenset[Blob]


def read_record(path: Path) -> Named:
    """Read a record of a step.

    Args:
        path: The file; its name is the step's key.

    Returns:
        What it names.

    Raises:
        ValueError: It is not what was written, or that of another step.
        OSError: It cannot be read.
    """
    if path.is_symlink():
        raise ValueError("it is a link")
    data = path.read_bytes()
    try:
        return _parsed(path.name, data)
    except ValueError:
        # Prefect writes a record in place: a build may be just doing so.
        time.sleep(_WRITTEN_S)
        if (again := path.read_bytes()) == data:
            raise
        return _parsed(path.name, again)


def _parsed(key: str, data: bytes) -> Named:
    try:
        record = json.loads(data)
        metadata, result = record["metadata"], record["result"].encode()
        if Path(metadata["storage_key"]).name != key:
            raise ValueError("it is that of another step")
        kind = metadata["serializer"]["type"]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("it is no record") from error
    value = json.loads(unsealed(result) if kind == KIND else result)
    return Named(frozenset(_blobs(value, logs=False)), frozenset(_blobs(value, logs=True)))


def _blobs(value: Any, *, logs: bool, inside: bool = False) -> Iterator[Blob]:
    """Find the blobs by their form; those in a member `evidence` are the logs (`tasks.records.blobs_of`)."""
    if isinstance(value, list):
        for item in value:
            yield from _blobs(item, logs=logs, inside=inside)
    elif isinstance(value, dict) and value.keys() == {"digest", "size"}:
        if logs == inside:
            yield Blob.model_validate(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _blobs(item, logs=logs, inside=inside or name == "evidence")
