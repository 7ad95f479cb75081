"""Bundles that somebody else packed, or that arrived damaged: nothing is taken from them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tasks.bundle.manifest import STAGING, encoded
from tasks.bundle.unpack import MAX_HEADER_BYTES
from tests.tasks.bundle.tars import (
    PLAIN,
    bundle,
    contents_of,
    entries,
    manifest_of,
    plain,
    refused,
    written,
)


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
    assert {path.name for path in (tmp_path / "out").glob("*")} <= {STAGING}  # nothing under the name it was to have
    assert set(contents_of(tmp_path / "out").values()) <= set(PLAIN.values())
    assert {path.name for path in tmp_path.iterdir()} <= {"t", "out"}


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
