"""`artifacts.statements`: what is signed, once the signature holds: a signer may make mistakes too."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from unittest import mock

from artifacts import media, signing
from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError
from artifacts.signing import public_key
from artifacts.statements import ChannelRecord, ReleaseStatement, read_channel, read_statement

JSON = True
_KEY = public_key(b"\x07" * 32)


def target(data: bytes) -> None:
    """Read the payload of an envelope whose signature is taken as good."""
    with mock.patch.object(signing, "_verifies", lambda *_: True):
        for read, kind in ((read_channel, media.CHANNEL_RECORD), (read_statement, media.RELEASE_STATEMENT)):
            try:
                record = read(_enveloped(data, kind), [_KEY])
            except ArtifactError:
                continue
            assert type(record).model_validate_json(record.to_json()) == record


def _enveloped(payload: bytes, kind: str) -> bytes:
    text = base64.b64encode(payload).decode()
    return json.dumps({"payload": text, "payloadType": kind, "signatures": [{"sig": "AAAA"}]}).encode()


def seeds() -> Iterator[bytes]:
    """One of each kind."""
    digest = digest_bytes(b"release")
    yield ChannelRecord(
        channel="latest", repository="centernet", serial=7, digest=digest, expires="2027-01-31T00:00:00Z"
    ).to_json()
    yield ReleaseStatement(repository="centernet", version="1.0.0", digest=digest).to_json()
