from __future__ import annotations

import errno
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifacts.digest import CHUNK_BYTES
from artifacts.errors import NoSpace
from tasks.bundle import unpack as unpacking
from tasks.bundle.folder import Folder
from tasks.bundle.manifest import NAME, STAGING
from tasks.bundle.unpack import read_manifest, unpack
from tasks.errors import BundleRefused
from tests.tasks.bundle.tars import (
    CONTENTS,
    HOST,
    PLAIN,
    bundle,
    contents_of,
    entries,
    manifest_of,
    plain,
    refused,
    written,
)


def test_what_was_packed_comes_out_again(tmp_path: Path) -> None:
    done = unpack(bundle(tmp_path), tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == CONTENTS
    assert done.written == len(CONTENTS)
    assert done.manifest == read_manifest(tmp_path / "bundle.tar")


def test_names_of_photographs_in_any_writing_come_out_again(tmp_path: Path) -> None:
    contents = {f"inputs/{'é' * 90}/{'ß' * 60} 1.jpg": b"x"}
    unpack(bundle(tmp_path, contents), tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == contents


def test_what_is_there_is_kept_and_what_is_damaged_is_written_again(tmp_path: Path) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"
    unpack(path, out, "build", HOST)
    (out / "profile.toml").write_bytes(b"x" * len(CONTENTS["profile.toml"]))
    (out / "x" / "empty").unlink()
    assert unpack(path, out, "build", HOST).written == 2
    assert contents_of(out) == CONTENTS


def test_what_only_the_last_bundle_listed_goes_and_what_no_list_names_stays(tmp_path: Path) -> None:
    out, store = tmp_path / "out", tmp_path / "out" / "store" / "blob"
    older = {"a": b"a", "a.part": b"mine", "wheels/build/b-1-py3-none-any.whl": b"b", "old/deep/c": b"c"}
    unpack(bundle(tmp_path, older), out, "build", HOST)
    store.parent.mkdir()
    store.write_bytes(b"days of work")
    unpack(bundle(tmp_path), out, "build", HOST)
    assert contents_of(out) == {**CONTENTS, "store/blob": b"days of work"}
    assert not (out / "old").exists()
    unpack(tmp_path / "bundle.tar", out, "build", HOST)
    assert store.read_bytes() == b"days of work"


@pytest.mark.parametrize("name", ["wheels/build/a-2-py3-none-any.whl", "x/other/photograph.jpg"])
def test_what_would_be_taken_for_the_bundles_is_refused_and_left(tmp_path: Path, name: str) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"
    unpack(path, out, "build", HOST)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    refused(path, out, f"{name}.*no bundle's list names it")
    assert (out / name).read_text() == "mine"


def test_nothing_is_followed_or_removed_through_a_link(tmp_path: Path) -> None:
    path, out, elsewhere = bundle(tmp_path), tmp_path / "out", tmp_path / "elsewhere"
    unpack(path, out, "build", HOST)
    (out / "x" / "empty").unlink()
    (out / "x").rmdir()
    (elsewhere / "hollow").mkdir(parents=True)
    (elsewhere / "empty").write_text("mine")
    (out / "x").symlink_to(elsewhere)
    refused(path, out, "'x' lies there")
    unpack(bundle(tmp_path, PLAIN), out, "build", HOST)  # which has nothing in x
    assert (elsewhere / "empty").read_text() == "mine"
    assert (elsewhere / "hollow").is_dir()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    # The link's own size is the file's.
    path, out, elsewhere = bundle(tmp_path), tmp_path / "out", tmp_path / "sixteen-letters-"
    unpack(path, out, "build", HOST)
    elsewhere.write_bytes(CONTENTS["profile.toml"])
    (out / "profile.toml").unlink()
    (out / "profile.toml").symlink_to(f"../{elsewhere.name}")
    assert (out / "profile.toml").lstat().st_size == len(CONTENTS["profile.toml"])
    assert unpack(path, out, "build", HOST).written == 1
    assert not (out / "profile.toml").is_symlink()


@pytest.mark.parametrize("damage", [lambda data: data[:-2000], lambda data: data.replace(b"second", b"secund", 1)])
def test_a_bundle_that_turns_out_damaged_takes_nothing_from_the_one_before(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    out = tmp_path / "out"
    unpack(bundle(tmp_path), out, "build", HOST)
    before = (out / NAME).read_bytes()
    path = bundle(tmp_path, {"a": b"first" * 400, "b": b"second" * 400})
    whole = path.read_bytes()
    path.write_bytes(damage(whole[: whole.rindex(b"second") + 6]))
    refused(path, out, "cut short|other bytes|its end")
    assert {name: (out / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert (out / NAME).read_bytes() == before
    path.write_bytes(whole)
    unpack(path, out, "build", HOST)
    assert contents_of(out) == {"a": b"first" * 400, "b": b"second" * 400}
    assert not (out / STAGING).exists()


def test_an_unpacking_that_was_killed_is_taken_up_where_it_was(tmp_path: Path) -> None:
    contents = {"a": b"first" * 400, "b": b"second" * 400, "c": b"second" * 400}
    path, out = bundle(tmp_path, contents), tmp_path / "out"
    manifest = read_manifest(path)
    killed = Folder(out, manifest)
    assert len(killed.stage()) == 3
    killed.staged(manifest.files[1]).write_bytes(contents["b"])
    killed.staged(manifest.files[2]).write_bytes(b"half")
    (out / STAGING / "of-another.part").write_bytes(b"x")
    assert killed.stage() == (manifest.files[0], manifest.files[2])
    assert unpack(path, out, "build", HOST).written == 3
    assert contents_of(out) == contents


def test_a_bundle_takes_over_from_one_whose_switch_was_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpack(bundle(tmp_path), out, "build", HOST)
    (out / "profile.toml").unlink()  # listed, and not yet moved in
    unpack(bundle(tmp_path, {"profile.toml/now-a-folder": b"x"}), out, "build", HOST)
    assert contents_of(out) == {"profile.toml/now-a-folder": b"x"}


@pytest.mark.parametrize("name", ["a.part", ".a.part", ".a.0123456789ab.part"])
def test_no_name_that_a_bundle_lists_is_lost_to_a_temporary_one(tmp_path: Path, name: str) -> None:
    contents = {name: b"mine", "a": b"a"}
    unpack(bundle(tmp_path, contents), tmp_path / "out", "build", HOST)
    (tmp_path / "out" / "a").unlink()
    unpack(bundle(tmp_path, contents), tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == contents


@pytest.mark.parametrize("head", [b"{}", b'{"name": "a game"}', b"no JSON", b'{"schema": 1, "files": []}'])
def test_a_folder_with_a_bundle_json_of_somebody_else_is_left_alone(tmp_path: Path, head: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / NAME).write_bytes(head)
    (out / "thesis.txt").write_text("mine")
    refused(bundle(tmp_path), out, "none of ours")
    assert contents_of(out) == {"thesis.txt": b"mine"}
    assert (out / NAME).read_bytes() == head


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    refused(bundle(tmp_path), tmp_path / "out", "something else")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_the_folder_that_one_is_in_serves_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(tmp_path)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    unpack(path, Path(), "build", HOST)
    assert contents_of(tmp_path / "out") == CONTENTS
    refused(path, Path("/"), "no folder for a bundle")
    (tmp_path / "link").symlink_to("out")
    refused(path, tmp_path / "link", "no folder for a bundle")


def test_a_stick_that_fails_is_not_told_as_the_disk_that_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"
    read = tarfile.ExFileObject.read

    def failing(stream: tarfile.ExFileObject, size: int = -1) -> bytes:
        if size == CHUNK_BYTES:
            raise OSError(errno.EIO, "Input/output error")
        return read(stream, size)

    monkeypatch.setattr(tarfile.ExFileObject, "read", failing)
    with pytest.raises(BundleRefused, match="cannot be read from it") as caught:
        unpack(path, out, "build", HOST)
    assert caught.value.path == path
    assert "stick" in str(caught.value)


def test_another_machine_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="aarch64"):
        unpack(bundle(tmp_path), tmp_path / "out", "build", HOST._replace(machine="aarch64"))
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path)
    monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 1000)
    with pytest.raises(NoSpace):
        unpack(path, tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == {}


def test_a_refused_bundle_leaves_no_empty_folder_and_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "t", manifest_of(entries(PLAIN)), [plain("a", b"other")])
    refused(path, tmp_path / "new" / "out", "other bytes")
    (tmp_path / "out").mkdir()  # the user's own
    refused(path, tmp_path / "out", "other bytes")
    with monkeypatch.context() as patched:
        patched.setattr(unpacking, "free_bytes", lambda folder: 0)
        with pytest.raises(NoSpace):
            unpack(path, tmp_path / "full", "build", HOST)
    assert {one.name for one in tmp_path.iterdir()} == {"t", "out"}
    assert list((tmp_path / "out").iterdir()) == []


def test_two_that_unpack_at_once_take_turns_and_leave_no_lock(tmp_path: Path) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: unpack(path, out, "build", HOST), range(8)))
    assert sorted(one.written for one in done) == [0] * 7 + [len(CONTENTS)]
    assert contents_of(out) == CONTENTS
    assert not (tmp_path / "out.lock").exists()


def test_a_bundle_that_was_killed_while_its_list_was_written_is_unpacked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"

    def killed(target: Path, data: bytes) -> None:
        (target.parent / f".{target.stem}.0123456789ab.part.json").write_bytes(data[:9])  # as a kill leaves it
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.bundle.folder.atomic_write", killed)
        with pytest.raises(KeyboardInterrupt):
            unpack(path, out, "build", HOST)
    unpack(path, out, "build", HOST)
    assert contents_of(out) == CONTENTS
    assert not (out / STAGING).exists()
