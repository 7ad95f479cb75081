"""`artifacts.signing.load_keys`: a file of public keys."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.errors import BadKey
from artifacts.signing import load_keys, public_key, public_pem
from tests.fuzz.places import written


def target(data: bytes) -> None:
    """Read the file; what is accepted is written and read back."""
    path = written("key.pub", data)
    try:
        keys = load_keys(path)
    except BadKey:
        return
    again = written("again.pub", "".join(map(public_pem, keys)).encode())
    assert load_keys(again) == keys


def seeds() -> Iterator[bytes]:
    """One key, and two."""
    one, two = (public_pem(public_key(bytes([n]) * 32)).encode() for n in (1, 2))
    yield one
    yield one + two
    yield one.replace(b"\n", b"\r\n")
