"""`artifacts.reference`: how a user names a release, and how settings do."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.errors import BadReference
from artifacts.reference import is_reference, parse_reference


def target(data: bytes) -> None:
    """Read it; what is accepted is written and read back."""
    text = data.decode("utf-8", "surrogateescape")
    is_reference(text)
    try:
        read = parse_reference(text)
    except BadReference:
        return
    assert parse_reference(str(read)) == read


def seeds() -> Iterator[bytes]:
    """Layouts and servers, tags and digests."""
    digest = b"sha256:" + b"0f" * 32
    yield b"oci:/srv/registry:1.0.0"
    yield b"oci:registry/centernet@" + digest
    yield b"registry.example.com:5000/models/centernet:stable"
    yield b"localhost/centernet@" + digest
    yield b"[::1]:5000/a/b__c:latest"
