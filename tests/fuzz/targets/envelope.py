"""`artifacts.signing.opened`: a signature as a server gives it, before anything in it is believed."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts import media
from artifacts.errors import NotSigned
from artifacts.signing import Signer, opened, public_key, sealed

JSON = True
# Not on the curve, so that verifying ends early; the reading comes before.
_KEY = public_key(b"\x07" * 32)


def target(data: bytes) -> None:
    """Open it with a key that signed nothing, and sign beside it."""
    try:
        opened(data, media.CHANNEL_RECORD, [_KEY])
        raise AssertionError("nobody signed this")
    except NotSigned:
        pass
    sealed(media.CHANNEL_RECORD, b"{}", [Signer(_KEY, lambda _: bytes(64))], data)


def seeds() -> Iterator[bytes]:
    """Envelopes that are whole, with signatures of nobody."""
    signer = Signer(_KEY, lambda _: bytes(64))
    yield sealed(media.CHANNEL_RECORD, b"{}", [signer])
    yield sealed(media.RELEASE_STATEMENT, b'{"digest":""}', [signer])
