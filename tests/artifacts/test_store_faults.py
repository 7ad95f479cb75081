from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import BinaryIO, ContextManager, Optional

import pytest

from artifacts import store as store_module
from artifacts.errors import DamagedBlob, MissingBlob, NoSpace, StoreNotWritable
from artifacts.files import locked
from artifacts.store import Blob, ContentStore
from tests.artifacts.damage import damage
from tests.artifacts.processes import all_at_once, killed_after
from tests.artifacts.stores import scratch_names


def test_a_blob_that_another_process_mended_meanwhile_is_not_set_aside(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = store.put_bytes(b"weights")
    damage(store.path(blob))
    look = store_module._why_unsound

    def look_and_be_overtaken(stream: BinaryIO, wanted: Blob) -> Optional[str]:
        reason = look(stream, wanted)
        monkeypatch.undo()
        store.put_bytes(b"weights")
        return reason

    monkeypatch.setattr(store_module, "_why_unsound", look_and_be_overtaken)
    with pytest.raises(DamagedBlob) as caught:
        store.verified(blob)
    assert caught.value.quarantined is None
    assert store.verified(blob).read_bytes() == b"weights"


def test_processes_that_store_and_damage_and_verify_one_blob_never_lose_a_sound_one(store: ContentStore) -> None:
    data = b"weights" * 1000
    blob = store.put_bytes(data)

    def put() -> None:
        for _ in range(40):
            store.put_bytes(data)

    def verify() -> None:
        for _ in range(40):
            try:
                store.verified(blob)
            except (MissingBlob, DamagedBlob):
                continue

    def spoil() -> None:
        for _ in range(20):
            bad = store.root / "scratch" / f"bad{os.getpid()}"
            bad.write_bytes(b"damaged")
            bad.replace(store.root / "blobs" / "sha256" / blob.digest[7:])
            time.sleep(0.002)

    assert all_at_once([put, put, verify, verify, spoil]) == [0] * 5
    store.put_bytes(data)
    assert store.verified(blob).read_bytes() == data
    quarantined = list((store.root / "quarantine").iterdir()) if (store.root / "quarantine").is_dir() else []
    assert all(path.read_bytes() == b"damaged" for path in quarantined)


def test_a_sound_blob_stored_after_the_damaged_one_was_hashed_stays(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = store.put_bytes(b"weights")
    path = damage(store.path(blob))
    hashed = path.stat()

    def replaced_then_locked(lock: Path) -> ContextManager[object]:
        monkeypatch.setattr(store_module, "locked", locked)
        # A file system gives a freed inode number to the next file: try for it.
        for _ in range(50):
            path.unlink()
            store.put_bytes(b"weights")
            if os.path.samestat(path.stat(), hashed):
                break
        return locked(lock)

    monkeypatch.setattr(store_module, "locked", replaced_then_locked)
    with pytest.raises(DamagedBlob):
        store.verified(blob)
    assert path.read_bytes() == b"weights"
    assert not (store.root / "quarantine").exists()


def test_a_store_killed_at_any_moment_shows_whole_blobs_only(store: ContentStore) -> None:
    chance = random.Random(1)
    contents = [bytes([number]) * 400_000 for number in range(20)]

    def put_all() -> None:
        for data in contents:
            store.put_bytes(data)

    killed = sum(killed_after(chance.uniform(0, 0.03), put_all) for _ in range(20))
    assert killed > 3
    assert store.verify_all() == []
    store.sweep()
    assert scratch_names(store) == []
    put_all()
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 20


def test_a_full_disk_leaves_what_was_stored_and_says_how_much_is_free(small_disk: Path, tmp_path: Path) -> None:
    store = ContentStore(small_disk / "store")
    blob = store.put_bytes(b"first")
    (tmp_path / "large").write_bytes(bytes(2 << 20))
    with pytest.raises(NoSpace, match="Free some space"):
        store.put_bytes(bytes(2 << 20))
    with pytest.raises(NoSpace, match="Free some space"):
        store.put_file(tmp_path / "large")
    assert store.is_sound(blob)
    assert scratch_names(store) == []
    assert store.put_bytes(bytes(1 << 18)).size == 1 << 18


def test_a_store_on_a_read_only_file_system_can_be_read_and_says_why_it_cannot_be_written(small_disk: Path) -> None:
    store = ContentStore(small_disk / "store")
    blob, bad = store.put_bytes(b"first"), store.put_bytes(b"second")
    damage(store.path(bad))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert store.verified(blob).read_bytes() == b"first"
    assert store.put_bytes(b"first") == blob
    with pytest.raises(StoreNotWritable):
        store.put_bytes(b"third")
    with pytest.raises(DamagedBlob) as caught:
        store.verified(bad)
    assert caught.value.quarantined is None
