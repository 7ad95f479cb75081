from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.errors import BadDigest, DamagedBlob, MissingBlob, StoreNotWritable
from artifacts.store import Blob, ContentStore
from tests.artifacts.damage import damage
from tests.artifacts.processes import as_nobody
from tests.artifacts.stores import scratch_names


def test_stored_bytes_come_back_and_cannot_be_written(store: ContentStore) -> None:
    blob = store.put_bytes(b"weights")
    assert blob == Blob(digest=digest_bytes(b"weights"), size=7)
    path = store.verified(blob)
    assert path == store.root / "blobs" / "sha256" / blob.digest[7:]
    assert path.read_bytes() == b"weights"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert scratch_names(store) == []


def test_a_file_and_its_bytes_are_one_blob(store: ContentStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "f").write_bytes(data)
    assert store.put_file(tmp_path / "f") == store.put_bytes(data)
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 1


def test_storing_what_is_there_writes_nothing(store: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"weights")
    before = store.path(store.put_bytes(b"weights")).stat()
    store.put_file(tmp_path / "f")
    after = store.path(store.put_bytes(b"weights")).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("data", [b"", b"weightz", b"weights and more"])
def test_storing_again_mends_a_damaged_blob(store: ContentStore, data: bytes) -> None:
    blob = store.put_bytes(b"weights")
    damage(store.path(blob), data)
    assert not store.is_sound(blob)
    assert store.put_bytes(b"weights") == blob
    assert store.verified(blob).read_bytes() == b"weights"


@pytest.mark.parametrize("data", [b"", b"weightz", b"weights and more"])
def test_a_damaged_blob_is_set_aside_and_then_missing(store: ContentStore, data: bytes) -> None:
    blob = store.put_bytes(b"weights")
    damage(store.path(blob), data)
    with pytest.raises(DamagedBlob, match="moved to") as caught:
        store.verified(blob)
    assert caught.value.quarantined is not None
    assert caught.value.quarantined.parent == store.root / "quarantine"
    assert caught.value.quarantined.read_bytes() == data
    with pytest.raises(MissingBlob):
        store.verified(blob)


def test_a_missing_blob_is_told_with_its_digest(store: ContentStore) -> None:
    blob = Blob(digest=digest_bytes(b"never stored"), size=12)
    assert not store.is_sound(blob)
    for look in (store.path, store.verified):
        with pytest.raises(MissingBlob) as caught:
            look(blob)
        assert caught.value.digest == blob.digest
    assert not store.root.exists()


def test_the_right_bytes_with_the_wrong_size_are_not_accepted(store: ContentStore) -> None:
    blob = store.put_bytes(b"weights")
    assert not store.is_sound(Blob(digest=blob.digest, size=8))


def test_a_digest_that_climbs_out_of_the_store_is_refused() -> None:
    with pytest.raises(ValueError, match="not a digest"):
        Blob(digest="sha256:../../evil", size=1)
    with pytest.raises(BadDigest):
        ContentStore("/nowhere").path(Blob.model_construct(digest="sha256:../../evil", size=1))


def test_a_link_has_the_bytes_under_the_chosen_name_and_replaces_what_was_there(
    store: ContentStore, tmp_path: Path
) -> None:
    one, two = store.put_bytes(b"one"), store.put_bytes(b"two")
    target = tmp_path / "work" / "top.mlir"
    for blob, data in ((one, b"one"), (two, b"two"), (two, b"two")):
        assert store.link(blob, target) == target
        assert target.read_bytes() == data
    assert stat.S_IMODE(target.stat().st_mode) == 0o444
    assert [entry.name for entry in target.parent.iterdir()] == ["top.mlir"]
    target.unlink()
    assert store.is_sound(two)


def test_a_link_to_another_file_system_is_a_copy(store: ContentStore, small_disk: Path) -> None:
    blob = store.put_bytes(b"one")
    target = store.link(blob, small_disk / "copy")
    assert target.read_bytes() == b"one"
    assert target.stat().st_dev != store.path(blob).stat().st_dev
    assert stat.S_IMODE(target.stat().st_mode) == 0o444


def test_a_damaged_blob_is_not_linked(store: ContentStore, tmp_path: Path) -> None:
    blob = store.put_bytes(b"one")
    damage(store.path(blob))
    with pytest.raises(DamagedBlob):
        store.link(blob, tmp_path / "work" / "f")
    assert not (tmp_path / "work").exists()


def test_a_store_of_another_user_says_so(open_folder: Path) -> None:
    store = ContentStore(open_folder / "store")
    blob = store.put_bytes(b"first")
    store.root.chmod(0o755)

    def work() -> None:
        assert store.verified(blob).read_bytes() == b"first"
        with pytest.raises(StoreNotWritable, match="Permission denied"):
            store.put_bytes(b"second")

    if os.geteuid() != 0:
        pytest.skip("another user's folder needs root to make")
    assert as_nobody(work) == 0


def test_verifying_everything_names_what_is_wrong(store: ContentStore) -> None:
    good, bad = store.put_bytes(b"good"), store.put_bytes(b"bad")
    path = damage(store.path(bad))
    stray = path.with_name("notes.txt")
    stray.write_text("hello")
    problems = store.verify_all()
    assert {problem.path for problem in problems} == {path, stray}
    assert store.path(good).exists()
    assert path.exists()
