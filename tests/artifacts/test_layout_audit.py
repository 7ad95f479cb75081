from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from artifacts import layout, media
from artifacts.attachments import LayoutPlace
from artifacts.evidence import attach
from artifacts.layout_audit import audit
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.statements import ChannelRecord, ReleaseStatement, signed
from tests.artifacts.keys import signer
from tests.artifacts.layouts import blob_path, publish
from tests.artifacts.test_evidence import evidence

FLIPS = 200


@pytest.fixture
def full(root: Path) -> Path:
    """A layout with two releases, a signature, a signed channel and evidence."""
    publish(root, "1.0.0")
    published = publish(root, "1.1.0", "1.1.0", "latest")
    attach(root, evidence(published.digest))
    place, statement = LayoutPlace(root), ReleaseStatement(repository="x", version="1.1.0", digest=published.digest)
    place.write(signature_tag(published.digest), signed(statement, [signer("publisher")]))
    record = ChannelRecord(channel="latest", repository="x", serial=1, digest=published.digest)
    place.write(channel_tag("latest"), signed(record, [signer("publisher")]))
    return root


def test_a_sound_layout_has_no_problems(full: Path) -> None:
    seen = []
    assert audit(full, [signer("publisher").key], seen.append) == []
    assert sum(seen) == sum(path.stat().st_size for path in (full / "blobs" / "sha256").iterdir())


def test_every_file_that_is_lost_is_named(full: Path) -> None:
    for path in sorted((full / "blobs" / "sha256").iterdir()):
        data = path.read_bytes()
        path.unlink()
        assert any(path.name in problem.reason for problem in audit(full)), path
        path.write_bytes(data)
    assert audit(full) == []


def test_every_flipped_bit_of_the_index_is_found(full: Path) -> None:
    chance, path = random.Random(1), full / "index.json"
    sound = path.read_bytes()
    for _ in range(FLIPS):
        data = bytearray(sound)
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        assert audit(full), f"bit {bit} of byte {place}: {bytes(data[max(0, place - 30) : place + 30])!r}"


EDITS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "another channel": lambda index: _tag(index, "latest", "lbtest"),
    "another version": lambda index: _tag(index, "1.0.0", "1.0.1"),
    "no tag": lambda index: index["manifests"][0].pop("annotations"),
    "another chip": lambda index: _tag(index, "latest-bm1688", "latest-bm1689"),
    "another size": lambda index: index["manifests"][0].update(size=3),
    "another type": lambda index: index["manifests"][0].update(mediaType=media.MANIFEST),
}


def _tag(index: Dict[str, Any], before: str, after: str) -> None:
    (entry,) = [one for one in index["manifests"] if one["annotations"][media.TAG] == before]
    entry["annotations"][media.TAG] = after


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_tags_tell_on_each_other(full: Path, edit: Callable[[Dict[str, Any]], Any]) -> None:
    index = json.loads((full / "index.json").read_bytes())
    edit(index)
    (full / "index.json").write_text(json.dumps(index))
    assert {problem.path for problem in audit(full)} == {full / "index.json"}


def test_a_signature_by_nobody_known_and_a_channel_that_means_another_release_are_told(full: Path) -> None:
    assert any("signature" in problem.reason for problem in audit(full, [signer("another").key]))
    layout.retag(full, layout.changes_for(_built(full, "1.0.0"), ["latest"]))
    assert any("promote it again" in problem.reason for problem in audit(full, [signer("publisher").key]))


def _built(root: Path, version: str) -> Any:
    from artifacts.oci import Built, read_index

    data = layout.resolve(root, version)[1]
    children = {child.chip: blob_path(root, child.blob.digest).read_bytes() for child in read_index(data)}
    return Built(data, children, b"")
