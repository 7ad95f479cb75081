"""`tasks.bundle.unpack`: a bundle that somebody else packed. Unpacked is what its list says, and nothing else."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress

from artifacts.digest import digest_file
from artifacts.errors import StoreError
from tasks.bundle.manifest import NAME, Host, Manifest, encoded
from tasks.bundle.pack import listed, pack
from tasks.bundle.unpack import unpack
from tasks.errors import BundleRefused
from tests.fuzz.places import scratch, written

JSON = True
HOST = Host("x86_64", "2.36", "3.11")
CONTENTS: tuple[dict[str, bytes], ...] = (
    {},
    {"a": b"aaa", "b/c": b"bb", "b/d.part": b""},
    {"e/" * 60 + "f": b"e" * 600},
)


def target(data: bytes) -> None:
    """Unpack it into a new folder, and look for what lies elsewhere. A list alone is given the files that it names."""
    path, inside = written("bundle.tar", packed(data) if data[:1] == b"{" else data), scratch() / "below"
    folder = inside / "unpacked"
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir()
    try:
        manifest = unpack(path, folder, "build", HOST).manifest
    except (BundleRefused, StoreError):  # a store error: it claims more bytes than the disk has
        manifest = None
    assert {one.name for one in inside.iterdir()} <= {"unpacked", "unpacked.lock"}
    assert not any(one.is_symlink() for one in inside.rglob("*"))
    if manifest is not None:
        there = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file()}
        assert set(there) == {NAME, *(one.name for one in manifest.files)}
        assert all(digest_file(there[one.name]) == one.digest for one in manifest.files)


def packed(head: bytes) -> bytes:
    """A bundle with this manifest and the files that it lists, each of them the first letter of its name repeated."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, NAME, head)
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            for one in json.loads(head)["files"]:
                if one["size"] <= 1000:
                    _add(tar, one["name"], one["name"][:1].encode() * one["size"])
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def seeds() -> Iterator[bytes]:
    """Bundles of no file, of some, and of one with a long name; and their lists."""
    for contents in CONTENTS:
        files = {name: written(f"file-{number}", data) for number, (name, data) in enumerate(contents.items())}
        manifest = Manifest("build", "1.0.0", "sample", "1.30.2", *HOST[:2], {"build": HOST.python}, listed(files))
        whole = scratch() / "packed.tar"
        pack(manifest, files, whole)
        yield whole.read_bytes()
        yield encoded(manifest)
