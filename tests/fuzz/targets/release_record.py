"""`artifacts.release.ReleaseRecord`: what a device reads of a release before anything else of it."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.errors import ReleaseError
from artifacts.release import ReleaseRecord
from tests.artifacts.releases import VARIANTS, record

JSON = True


def target(data: bytes) -> None:
    """Read a record; one that is accepted is written and read back."""
    try:
        read = ReleaseRecord.from_json(data)
    except ReleaseError:
        return
    assert ReleaseRecord.from_json(read.to_json()) == read


def seeds() -> Iterator[bytes]:
    """Records of one and of many variants."""
    yield record().to_json()
    yield record("2.0.0", VARIANTS[:1]).to_json()
