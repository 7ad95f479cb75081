"""Bundles for tests: small ones of ours, and those that nobody honest would write."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from tasks.bundle.manifest import NAME, BundledFile, Host, Manifest, encoded
from tasks.bundle.pack import listed, pack
from tasks.bundle.unpack import unpack
from tasks.errors import BundleRefused

HOST = Host("x86_64", "2.36", "3.11")
CONTENTS = {"profile.toml": b'extends = "sample"\n', "wheels/build/a-1-py3-none-any.whl": b"a" * 70_000, "x/empty": b""}
PLAIN = {"a": b"first", "b": b"second"}


def manifest_of(files: Sequence[BundledFile], kind: str = "build") -> Manifest:
    pythons = {"build": "3.11", "toolchain": "3.10"} if kind == "build" else {"device": "3.11"}
    return Manifest(kind, "0.1.0", "sample", "1.30.2", "x86_64", "2.36", pythons, tuple(files))


def bundle(folder: Path, contents: dict[str, bytes] | None = None) -> Path:
    """A bundle as ours are."""
    sources = {}
    for number, (name, data) in enumerate((CONTENTS if contents is None else contents).items()):
        sources[name] = folder / f"source-{number}"
        sources[name].write_bytes(data)
    target = folder / "bundle.tar"
    pack(manifest_of(listed(sources)), sources, target)
    return target


def entries(contents: dict[str, bytes]) -> list[BundledFile]:
    return [BundledFile(name, len(data), digest_bytes(data)) for name, data in contents.items()]


def plain(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def written(path: Path, head: bytes | Manifest, members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """A tar with a manifest and any members."""
    data = head if isinstance(head, bytes) else encoded(head)
    with tarfile.open(path, "w") as tar:
        for member, content in [plain(NAME, data), *members]:
            tar.addfile(member, io.BytesIO(content))
    return path


def contents_of(folder: Path) -> dict[str, bytes]:
    """What an unpacked bundle holds besides its list, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(path: Path, folder: Path, said: str) -> None:
    """Assert that a bundle is refused, and why."""
    with pytest.raises(BundleRefused, match=said):
        unpack(path, folder, "build", HOST)
