"""`tasks.sources.lock`, and the note beside a partial download."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tasks.errors import BadLockFile
from tasks.sources.lock import LockFile
from tasks.sources.model import Expected
from tasks.sources.part import open_part
from tests.fuzz.places import scratch, written
from tests.tasks.sources.support import job_with

JSON = True
_DIGEST = "sha256:" + "0" * 64


def target(data: bytes) -> None:
    """Read the lock file; go on with a download whose note is the input."""
    with contextlib.suppress(BadLockFile):
        LockFile(written("sources.lock.json", data)).get("weights")
    written("target.part", b"some bytes")
    written("target.part.meta", data)
    expected = Expected(name="target", size=None, digest=_DIGEST, said_by="the source")
    with open_part(scratch() / "target", lambda: expected, job_with()) as part:
        part.resume_at("https://host.example/a")


def seeds() -> Iterator[bytes]:
    """A lock file and a note."""
    yield (
        b'{"version":1,"sources":{"weights":{"mirror":"https://host.example/a","digest":"%s","size":7}}}'
        % _DIGEST.encode()
    )
    yield b'{"digest":"%s","origin":"0f","validator":"\\"a\\""}' % _DIGEST.encode()
