"""What a bundle says about itself: its first member, a list of all others with their digests.

Read before there is any environment, so that nothing here needs more than Python itself.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from artifacts.digest import check_digest
from artifacts.errors import BadDigest
from artifacts.strict_json import decoded

NAME = "bundle.json"
STAGING = ".unpacking"
"""Folder in an unpacked bundle's own for what is being unpacked; no bundle may have a file there."""

SCHEMA = 1
MAX_BYTES = 16 << 20
MAX_FILES = 60_000

_LONGEST_NAME = 400
_LONGEST_PART = 200
# Control characters, and the separators of other systems, have no place in a name that becomes a path.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")
_TEXTS = ("kind", "project", "profile", "toolchain", "machine", "glibc")
# All of them are printed where they are read: nothing in them may steer a terminal, or fill it.
_TEXT = re.compile(r"[A-Za-z0-9._:+-]{0,200}")
_SHOWN = 80


class BundledFile(NamedTuple):
    """One file of a bundle.

    Attributes:
        name: Its path in the bundle.
        size: In bytes.
        digest: Of its bytes.
    """

    name: str
    size: int
    digest: str


class Manifest(NamedTuple):
    """What a bundle holds, and what it was made for.

    Attributes:
        kind: `build` or `device`.
        project: Version of the project.
        profile: The profile that is built; in a device bundle the release as `name:version`.
        toolchain: Version of the compiler; empty in a device bundle.
        machine: Such as `x86_64` or `aarch64`.
        glibc: The oldest C library that the packages run with, such as `2.36`.
        pythons: What each environment is for: `build`, `toolchain` or `device` to such as `3.11`.
        files: All files, in the order in which they lie in the bundle.
    """

    kind: str
    project: str
    profile: str
    toolchain: str
    machine: str
    glibc: str
    pythons: dict[str, str]
    files: tuple[BundledFile, ...]


class Host(NamedTuple):
    """The machine that a bundle is used on."""

    machine: str
    glibc: str
    python: str


def this_host() -> Host:
    """Return what this machine is, and the Python that asks."""
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
    except ValueError:  # musl does not know the name
        glibc = ""
    return Host(platform.machine(), glibc, f"{sys.version_info[0]}.{sys.version_info[1]}")


def encoded(manifest: Manifest) -> bytes:
    """Write a manifest as JSON; equal ones give equal bytes."""
    facts = {**manifest._asdict(), "schema": SCHEMA, "files": [one._asdict() for one in manifest.files]}
    return (json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Args:
        data: What `encoded` wrote, or anything else.

    Returns:
        The manifest; every name in it is fit to be a path below a folder, and none is there twice.

    Raises:
        ValueError: It is none, or is of a newer kind.
    """
    facts = decoded(data)
    if not isinstance(facts, dict) or "schema" not in facts:
        raise ValueError("its first file is no manifest of a bundle")
    if facts["schema"] != SCHEMA:
        raise ValueError(f"it is of the generation {_shown(facts['schema'])}, this program reads {SCHEMA}")
    try:
        texts = {name: _text(facts[name]) for name in _TEXTS}
        pythons = {_text(name): _text(version) for name, version in facts["pythons"].items()}
        files = tuple(_file(one) for one in facts["files"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its manifest lacks something: {repr(error)[:200]}") from error
    check_names(one.name for one in files)
    return Manifest(**texts, pythons=pythons, files=files)


def check_name(name: str) -> None:
    """Make sure that a name is a path that stays below the folder it is joined to.

    Raises:
        ValueError: It is absolute, leaves the folder, is too long, lies where unpacking writes, or has characters that
            no name of ours has.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or _UNFIT.search(name) or parts[0] == STAGING:
        raise ValueError(f"{name[:80]!r} is no name of a file below a folder")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError as error:
        raise ValueError(f"{name[:80]!r} is no text") from error
    if longest > _LONGEST_PART or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"the name {name[:80]!r} is too long")


def check_names(names: Iterable[str]) -> None:
    """Make sure that names can lie in one folder together.

    Raises:
        ValueError: One is unfit, is there twice, is that of the manifest, or is both a file and a folder.
    """
    seen, folders = set[str](), set[str]()
    for name in names:
        check_name(name)
        if name in seen or name == NAME:
            raise ValueError(f"the file {name[:80]!r} is there twice")
        seen.add(name)
        above = name.split("/")[:-1]
        folders.update("/".join(above[: end + 1]) for end in range(len(above)))
        if len(seen) > MAX_FILES:
            raise ValueError(f"it has more than {MAX_FILES} files")
    if both := (seen | {NAME}) & folders:
        raise ValueError(f"{min(both)[:80]!r} is a file and a folder")


def unfit(manifest: Manifest, kind: str, host: Host) -> list[str]:
    """Say why a bundle cannot be used on a machine.

    Args:
        manifest: The bundle's.
        kind: What it is wanted for, `build` or `device`.
        host: The machine.

    Returns:
        The reasons; empty where it fits.
    """
    if manifest.kind != kind:
        return [f"it is a {manifest.kind} bundle, and a {kind} bundle is wanted"]
    reasons = []
    if manifest.machine != host.machine:
        reasons.append(f"it was made for {manifest.machine}, this machine is {host.machine}")
    wanted = manifest.pythons.get(kind, "")
    if wanted != host.python:
        reasons.append(f"its packages are for Python {wanted}, this is Python {host.python}")
    if _numbers(manifest.glibc) > _numbers(host.glibc):
        reasons.append(f"its packages need the C library {manifest.glibc}, this machine has {host.glibc or 'another'}")
    return reasons


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version))


def plain(text: str) -> str:
    """Return a text as a manifest may hold it: of other characters, such as those of a file's name, a dash is left."""
    return re.sub(r"[^A-Za-z0-9._:+-]+", "-", text)[:_SHOWN]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_shown(value)} is no text")
    if not _TEXT.fullmatch(value):
        raise ValueError(f"{_shown(value)} stands where a plain word should")
    return value


def _shown(value: Any) -> str:
    return ascii(value)[:_SHOWN]


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_shown(value)} is no name")
    return value


def _file(value: Any) -> BundledFile:
    name, size = _name(value["name"]), value["size"]
    if type(size) is not int or not 0 <= size < 1 << 44:
        raise ValueError(f"the size of {name[:80]!r} is {_shown(size)}")
    try:
        return BundledFile(name, size, check_digest(value["digest"]))
    except BadDigest as error:
        raise ValueError(f"the digest of {name[:80]!r} is none") from error
