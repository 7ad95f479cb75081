"""Zip archives that lead elsewhere, hold a bomb, or say two things at once."""

from __future__ import annotations

import io
import random
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import DownloadError, MirrorFailure
from tasks.sources.archive import take_local
from tasks.sources.model import Source
from tests.fuzz.targets.archive import MEMBER, seeds, taken
from tests.hostile.case import Case, either, refused

_NAMES = ("../x", "a/../../x", "/etc/passwd", "a\\..\\..\\x", "a/", "", ".", "..", "a\0b", "//server/x")


def _zip(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name twice
        for name, data in members:
            archive.writestr(name, data)
    return packed.getvalue()


def _as(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(MEMBER)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


def _with_size(data: bytes, size: int) -> bytes:
    changed = bytearray(data)
    place = changed.rindex(b"PK\x01\x02")
    changed[place + 24 : place + 28] = struct.pack("<I", size)
    return bytes(changed)


def _refused() -> Iterator[tuple[str, bytes]]:
    bomb = _zip((MEMBER, bytes(50 << 20)), method=zipfile.ZIP_DEFLATED)
    yield "a bomb of 50 MB", bomb
    yield "a bomb that claims 100 bytes", _with_size(bomb, 100)
    yield "a member that claims 4 GB", _with_size(_zip((MEMBER, b"x")), 2**32 - 2)
    yield "a member twice", _zip((MEMBER, b"one"), (MEMBER, b"two"))
    for what, kind in (("symbolic link", stat.S_IFLNK), ("device", stat.S_IFCHR), ("pipe", stat.S_IFIFO)):
        yield f"a member that is a {what}", _zip((_as(kind), b"/etc/passwd"))
    yield "a folder in the member's place", _zip((MEMBER + "/", b""))
    yield "only a name in other letters", _zip((MEMBER.upper(), b"x"))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"packed by method {method}", _zip((MEMBER, b"x" * 100), method=method)
    yield "100 000 members and none of this name", _zip(*((f"folder/membe{n}", b"") for n in range(100_000)))
    sound = bytearray(_zip((MEMBER, b"content " * 40)))
    sound[sound.index(b"content ") + 3] ^= 1
    yield "a flipped bit", bytes(sound)
    two = bytearray(_zip(("other", b"x" * 400), (MEMBER, b"y" * 400)))
    place = two.rindex(b"PK\x01\x02")
    two[place + 42 : place + 46] = struct.pack("<I", 0)
    yield "members that lie upon each other", bytes(two)
    yield "a directory elsewhere", _zip((MEMBER, b"x"))[:-6] + struct.pack("<IH", 2**32 - 2, 0)
    yield "nothing but an end", b"PK\x05\x06" + bytes(18)


def cases(folder: Path, mutated: int) -> Iterator[Case]:
    """Archives of every kind.

    Args:
        folder: Where they may be written.
        mutated: How many sound ones with some bytes changed there shall be.
    """
    for what, data in _refused():
        yield Case(what, refused(_taking(folder, data), MirrorFailure, DownloadError))
    for name in _NAMES:
        yield Case(f"a member called {name!r} is asked for", refused(_named(name), ValueError))
        yield Case(f"a neighbour called {name!r}", _alone(folder, _zip((name or "x", b"evil"), (MEMBER, b"content"))))
    samples, dice = list(seeds()), random.Random(17)
    for number in range(mutated):
        changed = bytearray(dice.choice(samples))
        for _ in range(dice.choice((1, 2, 4))):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        yield Case(f"mutated {number}", either(_taking(folder, bytes(changed)), MirrorFailure, DownloadError))


def _named(name: str) -> Callable[[], object]:
    return lambda: Source(name="a", mirrors=(f"zip+file:///a.zip!/{name}",))


def _taking(folder: Path, data: bytes) -> Callable[[], object]:
    def work() -> object:
        path = folder / "a.zip"
        path.write_bytes(data)
        return taken(path, take_local)

    return work


def _alone(folder: Path, data: bytes) -> Callable[[], None]:
    def run() -> None:
        before = set(folder.parent.rglob("*")) | {folder / "a.zip"}
        assert _taking(folder, data)() == b"content"
        assert set(folder.parent.rglob("*")) <= before

    return run
