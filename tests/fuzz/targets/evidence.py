"""`artifacts.evidence`: what others attached to a release on a server, and the index that names it."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError, UnknownTag
from artifacts.evidence import Evidence, attachment, evidence_of, summary, with_referrer
from artifacts.layout_tags import referrers_tag
from artifacts.release import Accuracy
from artifacts.store import Blob
from tests.artifacts.releases import record

JSON = True
RELEASE = digest_bytes(b"release")
_SOUND = Evidence(
    release=RELEASE,
    device="board",
    created="2026-11-26T12:00:00Z",
    engine="sail",
    chip="BM1684X",
    variant="BM1684X/centernet_int8_1b.bmodel",
    model_digest=digest_bytes(b"model"),
    versions={"libsophon": "0.5.1", "sail": "3.8.0"},
    protocol=record().protocol,
    accuracy=Accuracy(ap=0.36, ap50=0.5),
    comparable=True,
    comparison="0.001 less",
    report={"stages": {"decode": 0.5}},
)
_ATTACHED = attachment(_SOUND, 100)


class _OneAnswer:
    """A registry that has the sound things, and one of them replaced by the input."""

    def __init__(self, replaced: int, data: bytes) -> None:
        self._parts = [with_referrer(None, _ATTACHED.descriptor), _ATTACHED.manifest, _ATTACHED.layer]
        self._parts[replaced] = data
        self._read = 0

    def resolve(self, name: str) -> tuple[str, bytes]:
        if name != referrers_tag(RELEASE):
            raise UnknownTag(name, "here")
        return digest_bytes(self._parts[0]), self._parts[0]

    def read(self, blob: Blob, limit: int) -> bytes:
        del blob, limit
        self._read += 1
        return self._parts[1 + (self._read - 1) % 2]


def target(data: bytes) -> None:
    """Read evidence with the index, the manifest or the report replaced, and add to the index."""
    for replaced in range(3):
        try:
            summary(evidence_of(_OneAnswer(replaced, data), RELEASE))  # type: ignore[arg-type]
        except ArtifactError:
            continue
    try:
        with_referrer(data, _ATTACHED.descriptor)
    except ArtifactError:
        return


def seeds() -> Iterator[bytes]:
    """An index, a manifest and a report."""
    yield with_referrer(None, _ATTACHED.descriptor)
    yield _ATTACHED.manifest
    yield _ATTACHED.layer
