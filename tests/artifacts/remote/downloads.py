"""A large blob, and what a download of it leaves behind, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import List

from artifacts.store import ContentStore
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.liar import Liar

SIZE = 2_000_003


def content(seed: int, size: int = SIZE) -> bytes:
    """Return bytes that differ from place to place, so that a piece in the wrong place shows."""
    return b"".join(hashlib.sha256(b"%d %d" % (seed, part)).digest() for part in range(size // 32 + 1))[:size]


DATA = content(1)
BLOB = blob_of(DATA)


def names(folder: Path) -> List[str]:
    """Return what lies in a folder that may not be there."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def nothing_visible(store: ContentStore) -> bool:
    """Tell whether a store has no blob at all."""
    return names(store.root / "blobs" / "sha256") == []


def ranges(liar: Liar) -> List[str]:
    """Return the range of each request, empty where none was asked for."""
    return [one.headers.get("range", "") for one in liar.asked]


def part(store: ContentStore, data: bytes) -> Path:
    """Lay down what an earlier try of the blob left."""
    store.incoming.mkdir(parents=True)
    path = store.incoming / f"{BLOB.digest[7:]}.part"
    path.write_bytes(data)
    return path
