from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from artifacts.errors import NoSpace
from tasks.bundle import pack as packing
from tasks.bundle import unpack as unpacking
from tasks.bundle.manifest import NAME, encoded
from tasks.bundle.pack import listed
from tasks.bundle.unpack import MAX_HEADER_BYTES, read_manifest, unpack
from tasks.errors import BundleNotMade, BundleRefused
from tests.tasks.bundle.tars import CONTENTS, HOST, bundle, entries, manifest_of, plain, written

PLAIN = {"a": b"first", "b": b"second"}


def contents_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(path: Path, folder: Path, said: str) -> None:
    with pytest.raises(BundleRefused, match=said):
        unpack(path, folder, "build", HOST)


def test_what_was_packed_comes_out_again(tmp_path: Path) -> None:
    done = unpack(bundle(tmp_path), tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == CONTENTS
    assert done.written == len(CONTENTS)
    assert done.manifest == read_manifest(tmp_path / "bundle.tar")


def test_names_of_photographs_in_any_writing_come_out_again(tmp_path: Path) -> None:
    contents = {f"inputs/{'é' * 90}/{'ß' * 60} 1.jpg": b"x"}
    unpack(bundle(tmp_path, contents), tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == contents


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    first = bundle(tmp_path).read_bytes()
    assert bundle(tmp_path).read_bytes() == first


def test_what_is_there_is_kept_and_what_is_damaged_is_written_again(tmp_path: Path) -> None:
    path, out = bundle(tmp_path), tmp_path / "out"
    unpack(path, out, "build", HOST)
    (out / "profile.toml").write_bytes(b"x" * len(CONTENTS["profile.toml"]))
    (out / "x" / "empty").unlink()
    assert unpack(path, out, "build", HOST).written == 2
    assert contents_of(out) == CONTENTS


def test_packages_of_an_earlier_bundle_and_links_do_not_stay(tmp_path: Path) -> None:
    path, out, elsewhere = bundle(tmp_path), tmp_path / "out", tmp_path / "elsewhere"
    unpack(path, out, "build", HOST)
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("mine")
    (out / "wheels" / "build" / "a-2-py3-none-any.whl").write_text("newer")
    (out / "x" / "empty").unlink()
    (out / "x").rmdir()
    (out / "x").symlink_to(elsewhere)
    unpack(path, out, "build", HOST)
    assert contents_of(out) == CONTENTS
    assert [one.name for one in elsewhere.iterdir()] == ["kept"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    refused(bundle(tmp_path), tmp_path / "out", "something else")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_another_machine_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="aarch64"):
        unpack(bundle(tmp_path), tmp_path / "out", "build", HOST._replace(machine="aarch64"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    member, _ = plain("a", b"")
    member.type, member.linkname = kind, "/etc/passwd"
    path = written(tmp_path / "t", manifest_of(entries(PLAIN)), [(member, b""), plain("b", b"second")])
    refused(path, tmp_path / "out", "no plain file")
    assert contents_of(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([plain("a", b"other"), plain("b", b"second")], "other bytes"),
        ([plain("a", b"firs"), plain("b", b"second")], "4 bytes instead of 5"),
        ([plain("b", b"second"), plain("a", b"first")], "'a' is missing"),
        ([plain("a", b"first")], "'b' is missing: its end"),
        ([plain("../a", b"first"), plain("b", b"second")], "'a' is missing"),
        ([plain("a", b"first"), plain("b", b"second"), plain("c", b"")], "does not list"),
        ([plain("a", b"first"), plain("b", b"second"), plain("../../c", b"")], "does not list"),
    ],
)
def test_members_that_are_not_those_of_the_manifest_are_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    refused(written(tmp_path / "t", manifest_of(entries(PLAIN)), members), tmp_path / "out", said)
    assert set(contents_of(tmp_path / "out").items()) <= set(PLAIN.items())
    assert {path.name for path in tmp_path.iterdir()} <= {"t", "out", "out.lock"}


def test_a_name_in_the_manifest_that_leads_out_is_refused(tmp_path: Path) -> None:
    head = encoded(manifest_of(entries(PLAIN))).replace(b'"a"', b'"../a"')
    refused(written(tmp_path / "t", head, [plain("../a", b"first")]), tmp_path / "out", "no name of a file")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    member, data = plain("long", b"x" * (MAX_HEADER_BYTES + 1))
    member.type = kind
    path = written(tmp_path / "t", manifest_of(entries(PLAIN)), [(member, data), plain("a", b"first")])
    refused(path, tmp_path / "out", "a header is too large")


def test_headers_about_headers_without_end_are_refused(tmp_path: Path) -> None:
    member, data = plain("long", b"x\0")
    member.type = tarfile.GNUTYPE_LONGNAME
    refused(
        written(tmp_path / "t", manifest_of(entries(PLAIN)), [(member, data)] * 3000), tmp_path / "out", "recursion"
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.85])
def test_a_bundle_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = bundle(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, tmp_path / "out", "cut short|missing|cannot be read|begin")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" + b"\0" * 2000, b"\0" * 20_000, b"x" * 5000])
def test_what_is_no_bundle_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t").write_bytes(data)
    refused(tmp_path / "t", tmp_path / "out", "cannot be read|begin")


def test_a_bundle_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.tar", tmp_path / "out", "No such file")


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path)
    monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 1000)
    with pytest.raises(NoSpace):
        unpack(path, tmp_path / "out", "build", HOST)
    assert contents_of(tmp_path / "out") == {}


def test_a_disk_that_is_too_small_for_a_new_bundle_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(packing, "free_bytes", lambda folder: 1000)
    with pytest.raises(NoSpace):
        bundle(tmp_path)
    assert path.read_bytes() == before


def test_a_file_that_changes_while_it_is_packed_leaves_no_bundle(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"long")
    manifest = manifest_of(listed({"a": source}))
    source.write_bytes(b"longer")
    with pytest.raises(BundleNotMade, match="changed"):
        packing.pack(manifest, {"a": source}, tmp_path / "bundle.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_names_that_cannot_be_packed_are_told(tmp_path: Path) -> None:
    with pytest.raises(BundleNotMade, match="file and a folder"):
        listed({"a": tmp_path, "a/b": tmp_path})
