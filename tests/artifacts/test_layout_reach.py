"""What the tags of a layout lead to, and taking a version out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts import layout, media
from artifacts.attachments import LayoutPlace
from artifacts.errors import ArtifactError, LayoutError, MissingBlob, ReleaseInUse, UnknownTag
from artifacts.evidence import attach
from artifacts.layout_index import load_index
from artifacts.layout_reach import reachable, reached_from, releases, remove_version
from artifacts.layout_tags import TagChange, channel_tag, signature_tag, tag_entry
from artifacts.registry import LayoutRegistry
from artifacts.statements import ChannelRecord, signed
from tests.artifacts.keys import signer
from tests.artifacts.layouts import blob_path, publish
from tests.artifacts.test_evidence import evidence


def stored(root: Path) -> set[str]:
    return {f"sha256:{path.name}" for path in (root / "blobs" / "sha256").iterdir()}


def tags_in(root: Path) -> set[str]:
    return {entry["annotations"][media.TAG] for entry in load_index(root)["manifests"]}


def test_everything_of_a_release_is_reached(root: Path) -> None:
    digest = publish(root, "1.0.0").digest
    assert reachable(root) == reached_from(root, digest) == stored(root)


def test_what_a_killed_publication_left_is_not_reached(root: Path) -> None:
    publish(root, "1.0.0")
    left = layout.store_of(root).put_bytes(b"left behind")
    assert stored(root) - reachable(root) == {left.digest}


def test_evidence_and_signatures_are_reached(root: Path) -> None:
    digest = publish(root, "1.0.0", "1.0.0", "latest").digest
    attach(root, evidence(digest))
    LayoutPlace(root).write(signature_tag(digest), b"{}")
    assert reachable(root) == stored(root)
    attach(root, evidence(digest, device="another"))
    assert len(stored(root) - reachable(root)) == 1  # the index of what refers, as it was before


def test_what_other_tools_put_there_is_followed_as_the_specification_says(root: Path) -> None:
    publish(root, "1.0.0")
    store = layout.store_of(root)
    layer, config = store.put_bytes(b"layer"), store.put_bytes(b"{}")
    subject = {"mediaType": media.MANIFEST, "digest": "sha256:" + "0" * 64, "size": 3}
    described = [{"mediaType": "text/plain", "digest": one.digest, "size": one.size} for one in (layer, config)]
    image = json.dumps({"config": described[1], "layers": described[:1], "subject": subject}).encode()
    store.put_bytes(image)
    layout.retag(root, [TagChange("other", tag_entry(media.MANIFEST, image, "other"), False)])
    assert reachable(root) == stored(root)


def test_a_missing_manifest_is_an_error_and_not_an_end(root: Path) -> None:
    digest = publish(root, "1.0.0").digest
    child = json.loads(blob_path(root, digest).read_bytes())["manifests"][0]["digest"]
    blob_path(root, child).unlink()
    with pytest.raises(MissingBlob):
        reachable(root)


def test_a_removed_version_takes_its_signature_and_evidence_along_and_leaves_the_rest(root: Path) -> None:
    old, new = publish(root, "1.0.0"), publish(root, "1.1.0", "1.1.0", "latest")
    for release in (old, new):
        attach(root, evidence(release.digest))
        LayoutPlace(root).write(signature_tag(release.digest), b"{}")
    before = tags_in(root)
    remove_version(root, "1.0.0")
    assert sorted(layout.tags(root)) == ["1.1.0", "latest"] and layout.check(root) == []
    assert {tag for tag in before - tags_in(root)} == {
        *("1.0.0", "1.0.0-bm1684", "1.0.0-bm1684x", "1.0.0-bm1688"),
        *(f"sha256-{old.digest[7:]}", f"sha256-{old.digest[7:]}.dsse"),
    }
    assert LayoutRegistry(root).resolve(signature_tag(new.digest))


def test_one_of_two_versions_of_a_release_leaves_the_other_whole(root: Path) -> None:
    digest = publish(root, "1.0.0", "1.0.0", "1.0.0.again").digest
    LayoutPlace(root).write(signature_tag(digest), b"{}")
    remove_version(root, "1.0.0")
    assert [(one.digest, one.tags, one.channels) for one in releases(root)] == [(digest, ("1.0.0.again",), ())]
    assert LayoutRegistry(root).resolve(signature_tag(digest)) and layout.check(root) == []


@pytest.mark.parametrize("name", ["latest", "1.0.0-bm1688", "2.0.0"])
def test_only_a_version_can_be_removed(root: Path, name: str) -> None:
    publish(root, "1.0.0", "1.0.0", "latest")
    before = tags_in(root)
    with pytest.raises(UnknownTag):
        remove_version(root, name)
    assert tags_in(root) == before


def test_a_version_that_a_channel_names_stays(root: Path) -> None:
    publish(root, "1.0.0", "1.0.0", "stable")
    with pytest.raises(ReleaseInUse, match=r"stable is the release 1\.0\.0, so it stays") as caught:
        remove_version(root, "1.0.0")
    assert caught.value.channels == ("stable",) and "1.0.0" in layout.tags(root)


def test_a_version_that_only_a_signed_record_means_stays(root: Path) -> None:
    old = publish(root, "1.0.0").digest
    publish(root, "1.1.0", "1.1.0", "stable")
    record = ChannelRecord(channel="stable", repository="centernet", serial=1, digest=old)
    LayoutPlace(root).write(channel_tag("stable"), signed(record, [signer("publisher")]))
    with pytest.raises(ReleaseInUse):
        remove_version(root, "1.0.0")
    remove_version_of_nobody(root)


def remove_version_of_nobody(root: Path) -> None:
    publish(root, "0.9.0")
    remove_version(root, "0.9.0")
    assert "0.9.0" not in layout.tags(root)


def test_a_channel_record_that_cannot_be_read_stops_the_removal(root: Path) -> None:
    publish(root, "1.0.0")
    LayoutPlace(root).write(channel_tag("latest"), b'{"payload": "bm8="}')
    with pytest.raises(LayoutError, match="signed record of latest cannot be read"):
        remove_version(root, "1.0.0")
    assert "1.0.0" in layout.tags(root)


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        reachable(tmp_path)
