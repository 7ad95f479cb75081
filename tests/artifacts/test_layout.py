from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    BadDigest,
    FolderInTheWay,
    LayoutError,
    TagExists,
    UnknownTag,
)
from artifacts.store import Blob, ContentStore
from tests.artifacts.damage import damage
from tests.artifacts.layouts import blob_path, publish, state, tree
from tests.artifacts.releases import SHARED, VARIANTS, release


def test_a_published_release_is_found_by_tag_and_by_digest(root: Path) -> None:
    published = publish(root, "1.0.0", "1.0.0", "latest")
    assert published.changed
    assert published.tags == ("1.0.0", "latest")
    digest, data = layout.resolve(root, "1.0.0")
    assert digest == published.digest == digest_bytes(data)
    assert layout.resolve(root, "latest") == layout.resolve(root, digest) == (digest, data)
    assert layout.tags(root) == {"1.0.0": digest, "latest": digest}
    assert layout.check(root) == []


def test_the_folder_is_an_oci_image_layout(root: Path) -> None:
    digest = publish(root).digest
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((root / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    named = {entry["annotations"][media.TAG]: entry for entry in index["manifests"]}
    assert sorted(named) == ["1.0.0", "1.0.0-bm1684", "1.0.0-bm1684x", "1.0.0-bm1688"]
    assert named["1.0.0"]["digest"] == digest
    for entry in named.values():
        assert blob_path(root, entry["digest"]).stat().st_size == entry["size"]
        assert set(entry) == {"mediaType", "digest", "size", "annotations"}


def test_publishing_the_same_again_writes_nothing(root: Path) -> None:
    first = publish(root, "1.0.0", "1.0.0", "stable")
    before = state(root)
    again = publish(root, "1.0.0", "1.0.0", "stable")
    assert not again.changed
    assert again.digest == first.digest
    assert state(root) == before


def test_publishing_the_same_again_mends_what_was_damaged_or_lost(root: Path) -> None:
    digest = publish(root).digest
    children = json.loads(layout.resolve(root, "1.0.0")[1])["manifests"]
    damage(blob_path(root, digest_bytes(SHARED["sheet.png"])))
    blob_path(root, children[0]["digest"]).unlink()
    assert len(layout.check(root)) >= 2
    assert publish(root).changed
    assert layout.check(root) == []
    assert layout.resolve(root, "1.0.0")[0] == digest


def test_a_version_never_moves_and_nothing_is_written_when_it_would(root: Path) -> None:
    first = publish(root, "1.0.0")
    before = state(root)
    with pytest.raises(TagExists) as caught:
        publish(root, "2.0.0", "2.0.0", "1.0.0")
    assert (caught.value.tag, caught.value.existing) == ("1.0.0", first.digest)
    assert state(root) == before
    assert layout.tags(root) == {"1.0.0": first.digest}


def test_a_channel_moves_and_the_versions_stay(root: Path) -> None:
    old = publish(root, "1.0.0", "1.0.0", "stable")
    new = publish(root, "1.1.0", "1.1.0", "stable")
    assert layout.tags(root) == {"1.0.0": old.digest, "1.1.0": new.digest, "stable": new.digest}
    back = publish(root, "1.0.0", "stable")
    assert back.changed
    assert layout.tags(root)["stable"] == old.digest


def test_a_channel_that_moves_to_fewer_chips_keeps_no_file_of_the_old_release(root: Path, tmp_path: Path) -> None:
    publish(root, "1.0.0", "1.0.0", "stable")
    publish(root, "1.1.0", "1.1.0", "stable", variants=[v for v in VARIANTS if v.chip == "BM1684X"])
    with pytest.raises(UnknownTag):
        layout.resolve(root, "stable-bm1688")
    assert layout.resolve(root, "1.0.0-bm1688")
    assert layout.resolve(root, "stable-bm1684x") == layout.resolve(root, "1.1.0-bm1684x")


def test_entries_of_other_tools_are_kept(root: Path) -> None:
    publish(root, "1.0.0")
    index = json.loads((root / "index.json").read_bytes())
    index["annotations"] = {"com.example.note": "ours"}
    others: List[Dict[str, Any]] = [
        {"mediaType": "application/vnd.example", "digest": "sha256:" + "0" * 64, "size": 1},
        {"mediaType": "application/vnd.example", "digest": "md5:1", "size": 1, "annotations": {media.TAG: "x"}},
        {"mediaType": "application/vnd.example", "annotations": None},
    ]
    index["manifests"] = others + index["manifests"]
    (root / "index.json").write_text(json.dumps(index))
    publish(root, "1.1.0")
    after = json.loads((root / "index.json").read_bytes())
    assert after["manifests"][:3] == others
    assert after["annotations"] == {"com.example.note": "ours"}
    assert sorted(layout.tags(root)) == ["1.0.0", "1.1.0"]
    assert layout.check(root) == []


@pytest.mark.parametrize("tags", [(), ("a b",), ("1.0.0-bm1684x",), ("x" * 125,), ("v1", "")])
def test_tags_that_cannot_be_are_refused_before_anything_is_written(root: Path, tags: Tuple[str, ...]) -> None:
    record, files = release(root.parent / "built")
    with pytest.raises(LayoutError):
        layout.publish(root, record, files, tags)
    assert not root.exists()


def test_a_folder_that_holds_something_else_is_not_taken_over(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "thesis.txt").write_text("mine")
    with pytest.raises(LayoutError, match=r"holds 'thesis\.txt'"):
        publish(root)
    assert [entry.name for entry in root.iterdir()] == ["thesis.txt"]


def test_a_file_that_is_not_what_the_record_says_is_not_published(root: Path) -> None:
    record, files = release(root.parent / "built")
    files[VARIANTS[0].path].write_bytes(b"other bytes")
    with pytest.raises(LayoutError, match="but the file given is"):
        layout.publish(root, record, files, ["1.0.0"])
    assert not root.exists()


@pytest.mark.parametrize(
    ("ref", "error"),
    [("2.0.0", UnknownTag), ("sha256:" + "0" * 64, UnknownTag), ("sha256:../../x", BadDigest), ("", UnknownTag)],
)
def test_an_unknown_name_is_refused_with_what_there_is(root: Path, ref: str, error: Any) -> None:
    publish(root)
    with pytest.raises(error) as caught:
        layout.resolve(root, ref)
    if error is UnknownTag:
        assert caught.value.known == ("1.0.0",)


def test_a_tag_that_names_two_things_is_refused(root: Path) -> None:
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    index = json.loads((root / "index.json").read_bytes())
    for entry in index["manifests"]:
        if entry["mediaType"] == media.INDEX:
            entry["annotations"][media.TAG] = "1.0.0"
    (root / "index.json").write_text(json.dumps(index))
    with pytest.raises(LayoutError, match="which one is meant"):
        layout.resolve(root, "1.0.0")
    assert "which one is meant" in layout.check(root)[0].reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.json", b""),
        ("index.json", b'{"manifests":3}'),
        ("index.json", b'{"manifests":[1]}'),
        ("index.json", b" " * (5 << 20)),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'),
        ("index.json", None),
    ],
)
def test_a_damaged_layout_is_told_as_such_and_left_alone(root: Path, name: str, content: Optional[bytes]) -> None:
    publish(root)
    (root / name).unlink()
    if content is not None:
        (root / name).write_bytes(content)
    for action in (layout.tags, lambda root: layout.resolve(root, "1.0.0"), publish):
        with pytest.raises(LayoutError):
            action(root)
    assert layout.check(root)
    assert ((root / name).read_bytes() if (root / name).exists() else None) == content


@pytest.mark.parametrize("content", [None, b"", b"{", bytes(30)])
def test_the_file_that_only_says_that_it_is_a_layout_is_made_again(root: Path, content: Optional[bytes]) -> None:
    publish(root)
    before = tree(root)
    (root / "oci-layout").unlink()
    if content is not None:
        (root / "oci-layout").write_bytes(content)
    assert layout.check(root)
    assert not publish(root).changed
    assert tree(root) == before and layout.check(root) == []


def test_a_folder_in_a_files_place_is_named(root: Path) -> None:
    publish(root)
    for name in ("index.json", ".in-use.lock", ".index.lock"):
        there = (root / name).read_bytes()
        (root / name).unlink()
        (root / name).mkdir()
        with pytest.raises((LayoutError, FolderInTheWay), match=re.escape(str(root / name))):
            publish(root, "1.1.0")
        (root / name).rmdir()
        (root / name).write_bytes(there)


def test_a_folder_in_a_blobs_place_is_set_aside_by_the_next_publication(root: Path) -> None:
    publish(root)
    paths = sorted((root / "blobs" / "sha256").iterdir())
    for path in paths:
        path.unlink()
        path.mkdir()
        (path / "inside").touch()
    assert len(layout.check(root)) >= len(paths)
    assert publish(root).changed and layout.check(root) == []
    assert len(list((root / "quarantine").iterdir())) == len(paths)


@pytest.mark.parametrize(("name", "value"), [("mediaType", "application/vnd.oci.image.iNdex.v1+json"), ("size", 7)])
def test_what_decayed_beside_a_tag_is_put_right_by_the_next_publication(root: Path, name: str, value: Any) -> None:
    publish(root)
    before = (root / "index.json").read_bytes()
    index = json.loads(before)
    index["manifests"][0][name] = value
    (root / "index.json").write_text(json.dumps(index))
    assert publish(root).changed
    assert (root / "index.json").read_bytes() == before


def test_a_version_whose_tag_leads_nowhere_is_not_said_to_be_taken(root: Path) -> None:
    digest = publish(root).digest
    text = (root / "index.json").read_text()
    (root / "index.json").write_text(text.replace(digest[-6:], "000000"))
    with pytest.raises(LayoutError, match="Restore the registry"):
        publish(root)


def test_a_place_without_a_layout_is_told_as_such(root: Path) -> None:
    for action in (layout.tags, lambda root: layout.resolve(root, "1.0.0")):
        with pytest.raises(LayoutError, match="no registry layout"):
            action(root)
    assert len(layout.check(root)) == 1
    assert not root.exists()


def test_a_blob_that_nothing_names_is_checked_too(root: Path) -> None:
    publish(root)
    blob: Blob = ContentStore(root).put_bytes(b"left over from a publish that was killed")
    assert layout.check(root) == []
    damage(blob_path(root, blob.digest))
    assert [problem.path for problem in layout.check(root)] == [blob_path(root, blob.digest)]
