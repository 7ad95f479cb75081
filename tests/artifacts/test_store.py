from __future__ import annotations

import os
import random
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ContextManager, List, Optional

import pytest

from artifacts import store as store_module
from artifacts.digest import digest_bytes
from artifacts.errors import BadDigest, DamagedBlob, MissingBlob, NoSpace, StoreNotWritable
from artifacts.store import Blob, ContentStore
from tests.artifacts.processes import all_at_once, as_nobody, killed_after, living


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def damage(store: ContentStore, blob: Blob, data: bytes = b"damaged") -> Path:
    path = store.path(blob)
    path.chmod(0o644)
    path.write_bytes(data)
    return path


def scratch_names(store: ContentStore) -> List[str]:
    return sorted(entry.name for entry in (store.root / "scratch").iterdir())


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
    damage(store, blob, data)
    assert not store.is_sound(blob)
    assert store.put_bytes(b"weights") == blob
    assert store.verified(blob).read_bytes() == b"weights"


@pytest.mark.parametrize("data", [b"", b"weightz", b"weights and more"])
def test_a_damaged_blob_is_set_aside_and_then_missing(store: ContentStore, data: bytes) -> None:
    blob = store.put_bytes(b"weights")
    damage(store, blob, data)
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


def test_a_blob_that_another_process_mended_meanwhile_is_not_set_aside(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = store.put_bytes(b"weights")
    damage(store, blob)
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
    damage(store, blob)
    with pytest.raises(DamagedBlob):
        store.link(blob, tmp_path / "work" / "f")
    assert not (tmp_path / "work").exists()


def test_a_scratch_folder_is_empty_at_first_and_gone_afterwards(store: ContentStore) -> None:
    with store.scratch("BM1688 int8/../x") as folder:
        assert list(folder.iterdir()) == []
        assert folder.parent == store.root / "scratch"
        (folder / "f").write_bytes(b"x")
    assert scratch_names(store) == []


def test_a_scratch_folder_goes_even_when_a_tool_left_read_only_folders_in_it(open_folder: Path) -> None:
    store = ContentStore(open_folder / "store")

    def work() -> None:
        with store.scratch("compile") as folder:
            (folder / "link").symlink_to(open_folder)
            for name, mode in (("read-only", 0o500), ("shut", 0o000)):
                (folder / name).mkdir()
                (folder / name / "f").write_bytes(b"x")
                (folder / name).chmod(mode)
        assert scratch_names(store) == []

    assert as_nobody(work) == 0


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


def test_a_scratch_folder_is_gone_after_an_error(store: ContentStore) -> None:
    with pytest.raises(RuntimeError), store.scratch("compile"):
        raise RuntimeError("the compiler failed")
    assert scratch_names(store) == []


def test_sweeping_removes_what_killed_processes_left_and_nothing_else(store: ContentStore) -> None:
    def work() -> None:
        with store.scratch("compile") as folder:
            (folder / "half.bmodel").write_bytes(b"half")
            time.sleep(60)

    def work_on(ready: Callable[[], None]) -> None:
        with store.scratch("calibrate"):
            ready()
            time.sleep(60)

    assert killed_after(0.1, work)
    # An older version of a lock that no folder belongs to, and a folder that lost its lock.
    (store.root / "scratch" / "gone-1-aa.lock").touch()
    (store.root / "scratch" / "alone-1-aa").mkdir()
    with living(work_on), store.scratch("mine") as mine:
        removed = store.sweep()
        assert sorted(path.name.split("-")[0] for path in removed) == ["alone", "compile"]
        assert mine.is_dir()
        assert sorted(name.split("-")[0] for name in scratch_names(store)) == ["calibrate"] * 2 + ["mine"] * 2
    assert [path.name.split("-")[0] for path in store.sweep()] == ["calibrate"]
    assert scratch_names(store) == []


def test_sweepers_and_workers_do_not_disturb_each_other(store: ContentStore) -> None:
    def work() -> None:
        for number in range(30):
            with store.scratch("work") as folder:
                (folder / "f").write_bytes(b"x")
                store.put_bytes(f"{os.getpid()} {number}".encode())
                assert (folder / "f").read_bytes() == b"x"

    def sweep() -> None:
        for _ in range(60):
            store.sweep()

    assert all_at_once([work, work, sweep, sweep]) == [0] * 4
    assert scratch_names(store) == []
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 60
    assert store.verify_all() == []


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
    path = damage(store, blob)
    hashed, locked = path.stat(), store_module.locked

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
    damage(store, bad)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert store.verified(blob).read_bytes() == b"first"
    assert store.put_bytes(b"first") == blob
    with pytest.raises(StoreNotWritable):
        store.put_bytes(b"third")
    with pytest.raises(DamagedBlob) as caught:
        store.verified(bad)
    assert caught.value.quarantined is None


def test_verifying_everything_names_what_is_wrong(store: ContentStore) -> None:
    good, bad = store.put_bytes(b"good"), store.put_bytes(b"bad")
    path = damage(store, bad)
    stray = path.with_name("notes.txt")
    stray.write_text("hello")
    problems = store.verify_all()
    assert {problem.path for problem in problems} == {path, stray}
    assert store.path(good).exists()
    assert path.exists()
