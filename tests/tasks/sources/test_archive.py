"""One member of a zip, local or remote, sound or made to harm."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.download import Source, fetch
from tasks.errors import DigestMismatch, FailureKind, MirrorFailure, SourceMissing, SourceUnavailable
from tasks.sources.archive import find_member
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import HASTY, QUICK, Waits, names, source_of

MEMBER = "annotations/instances_val2017.json"
CONTENT = o.numbered(400_003)
BULK = o.numbered(3_000_000, seed=1 << 28)


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def packed(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("bulk1", BULK, zipfile.ZIP_STORED)
        archive.writestr(MEMBER, CONTENT)
        archive.writestr("bulk2", BULK, zipfile.ZIP_STORED)
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_one_member_of_a_remote_zip_comes_without_the_rest(origin: o.Origin, tmp_path: Path, method: int) -> None:
    url = origin.put("/a.zip", packed(method))
    fetched = fetch(source_of(CONTENT, f"zip+{url}!/{MEMBER}"), tmp_path / "a.json", options=QUICK)
    assert (tmp_path / "a.json").read_bytes() == CONTENT
    assert fetched.mirror == f"zip+{url}!/{MEMBER}"
    assert origin.sent < len(CONTENT) + 100_000
    assert names(tmp_path) == ["a.json"]
    assert all(request.headers["Range"][-1].isdecimal() for request in origin.requests)


@pytest.mark.parametrize("prefix", ["zip+file://{}", "zip+{}", "zip+file:{}"])
def test_one_member_of_a_local_zip(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "a.zip").write_bytes(packed())
    mirror = prefix.format(tmp_path / "a.zip") + "!/" + MEMBER
    assert fetch(source_of(CONTENT, mirror), tmp_path / "a", options=QUICK).size == len(CONTENT)


def test_a_server_without_ranges_is_named_as_such_and_not_drained(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a.zip", packed(), otherwise=o.no_ranges)
    with pytest.raises(SourceUnavailable, match=r"sends no byte ranges.*zip\+file:PATH!/MEMBER") as caught:
        fetch(source_of(CONTENT, f"zip+{url}!/{MEMBER}"), tmp_path / "a", options=QUICK)
    assert [failure.kind for failure in caught.value.failures] == [FailureKind.REFUSED]
    assert len(origin.requests) == 1


@pytest.mark.parametrize("fault", [o.cut(1000), o.reset(1000), o.stall(1000), o.status(503)])
def test_a_member_whose_range_breaks_off_is_tried_again(origin: o.Origin, tmp_path: Path, fault: o.Act) -> None:
    url = origin.put("/a.zip", packed(), o.serve, o.serve, fault)
    fetch(source_of(CONTENT, f"zip+{url}!/{MEMBER}"), tmp_path / "a", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(origin.requests) == 6


def test_a_zip_that_changes_while_it_is_read_is_read_again(origin: o.Origin, tmp_path: Path) -> None:
    content = packed()
    url = origin.put("/a.zip", content, o.serve, o.serve, o.other(packed(new=b"1")))
    fetch(source_of(CONTENT, f"zip+{url}!/{MEMBER}"), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [request.status for request in origin.requests] == [206, 206, 200, 206, 206, 206]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_caught_by_its_checksum(
    origin: o.Origin, tmp_path: Path, method: int, remote: bool
) -> None:
    content = packed(method)
    damaged = flipped(content, len(BULK) + 5000)
    (tmp_path / "a.zip").write_bytes(damaged)
    mirror = origin.put("/a.zip", damaged) if remote else str(tmp_path / "a.zip")
    # Without a digest, so that nothing but the archive's own check can tell.
    options = QUICK.model_copy(update={"record_first_use": True, "lock_file": tmp_path / "lock.json"})
    with pytest.raises(DigestMismatch, match="no sound zip"):
        fetch(Source(name="a", mirrors=(f"zip+{mirror}!/{MEMBER}",)), tmp_path / "a", options=options)
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"<html>Please log in</html>", packed()[:-30], b"x" * 70_000])
@pytest.mark.parametrize("remote", [True, False])
def test_what_is_no_zip_is_said_to_be_none(origin: o.Origin, tmp_path: Path, content: bytes, remote: bool) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    mirror = origin.put("/a.zip", content) if remote else str(tmp_path / "a.zip")
    with pytest.raises(SourceUnavailable):
        fetch(source_of(CONTENT, f"zip+{mirror}!/{MEMBER}"), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert names(tmp_path) == ["a.zip"]


def test_a_directory_larger_than_memory_allows_is_not_read(origin: o.Origin, tmp_path: Path) -> None:
    content = packed()
    end = content.rindex(b"PK\x05\x06")

    def endless(exchange: o.Exchange, _: bytes) -> None:
        first, last = map(int, exchange.headers["Range"].removeprefix("bytes=").split("-"))
        length = 1 << 40
        tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xF0000000, 0x100, 0)
        tail = content[end : end + 4] + tail[4:]
        size = last - first + 1
        exchange.head(206, {"Content-Range": f"bytes {first}-{last}/{length}", "Content-Length": str(size)})
        exchange.body((b"\0" * size + tail)[-size:] if size < 1 << 20 else b"")

    url = origin.put("/a.zip", content, otherwise=endless)
    with pytest.raises(SourceUnavailable, match="the zip's directory claims"):
        fetch(source_of(CONTENT, f"zip+{url}!/{MEMBER}"), tmp_path / "a", options=QUICK, clock=Waits().clock())


def test_a_member_that_is_not_there_is_missing_and_near_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(packed())
    with pytest.raises(SourceMissing, match=f"near it are {MEMBER}"):
        fetch(source_of(CONTENT, f"zip+{tmp_path}/a.zip!/annotations/val2017.json"), tmp_path / "a", options=QUICK)


def member(**facts: object) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("m")
    info.file_size, info.compress_size = 1000, 500
    for name, value in facts.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("infos", "reason"),
    [
        ([member(flag_bits=1)], "encrypted"),
        ([member(compress_type=zipfile.ZIP_LZMA)], "method 14"),
        ([member(), member()], "2 members called m"),
        ([member(external_attr=0o120777 << 16)], "no file"),
        ([member(file_size=1032 * 500 + 1)], "claims 516,001 bytes out of 500"),
        ([member(file_size=5_000_000, compress_size=1_000_000)], "claims"),
    ],
    ids=["encrypted", "other method", "twice", "symbolic link", "bomb", "larger than allowed"],
)
def test_a_member_that_is_not_safe_to_take_is_refused(infos: list[zipfile.ZipInfo], reason: str) -> None:
    with pytest.raises(MirrorFailure, match=reason) as caught:
        find_member(infos, "m", None, 1_000_000)
    assert caught.value.kind is FailureKind.UNSAFE


def test_an_encrypted_member_is_refused_as_a_whole(tmp_path: Path) -> None:
    content = bytearray(packed())
    # General purpose flag, bit 0, in the central directory (APPNOTE 4.4.4).
    entry = content.index(b"PK\x01\x02", len(BULK) * 2)
    for at in (entry + 8, content.index(b"PK\x01\x02", entry + 4) + 8):
        content[at] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceUnavailable, match="encrypted"):
        fetch(source_of(CONTENT, f"zip+{tmp_path}/a.zip!/{MEMBER}"), tmp_path / "a", options=QUICK)


def test_a_member_of_another_size_than_expected_is_not_unpacked(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a.zip", packed())
    with pytest.raises(DigestMismatch, match="400,003 bytes where 400,004 are expected"):
        fetch(source_of(CONTENT + b"x", f"zip+{url}!/{MEMBER}"), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 2
