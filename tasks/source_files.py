"""Single files that the settings name, weights and annotations: from a mirror into the cache. Knows no Prefect."""

from __future__ import annotations

from pathlib import Path

from artifacts.digest import digest_bytes, hex_of
from settings.locations import without_secrets
from settings.sources import FileSource
from tasks.download import fetch
from tasks.errors import FailureKind, MirrorFailure, SourceMissing, unavailable
from tasks.sources.address import FileAddress, ZipMember, parse_mirror
from tasks.sources.local import opened
from tasks.sources.model import Options, Source
from tasks.workspace import Workspace

LOCK_FILE = "sources.lock.json"


def obtain(source: FileSource, workspace: Workspace) -> Path:
    """Get a file; what was downloaded before is hashed and used again.

    Args:
        source: Where it can be had, and how it is known.
        workspace: Where downloads are kept.

    Returns:
        The file: in the cache, or where it ships with the project.

    Raises:
        DownloadError: No mirror gave the right bytes.
    """
    if ships(source):
        return _shipped(source)
    name, kept = _name(source), kept_at(source, workspace)
    wanted = Source(name=name, recorded_as=kept.name, mirrors=source.mirrors, size=source.size, digest=source.digest)
    return fetch(wanted, kept, options=download_options(workspace, record_first_use=source.record_first_use)).path


def check_here(source: FileSource, workspace: Workspace) -> None:
    """Look whether a file is there that only this machine can have; what is behind an address is not asked for.

    Args:
        source: Where it can be had.
        workspace: Where downloads are kept.

    Raises:
        SourceUnavailable: It was never downloaded, and none of its mirrors, all of them paths, can be read.
    """
    if ships(source):
        _shipped(source)
        return
    if kept_at(source, workspace).exists():
        return
    name, failures = _name(source), []
    for mirror in source.mirrors:
        path = _local(mirror, name)
        if path is None:
            return
        try:
            with opened(path):
                return
        except MirrorFailure as failure:
            failure.mirror = mirror
            failures.append(failure)
    raise unavailable(name, failures)


def download_options(workspace: Workspace, *, record_first_use: bool) -> Options:
    """Return how files are downloaded into the cache of a workspace."""
    return Options(record_first_use=record_first_use, lock_file=Path(workspace.cache) / "downloads" / LOCK_FILE)


def kept_at(source: FileSource, workspace: Workspace) -> Path:
    """Return where the download of a source is kept, which need not be there yet."""
    # Two sources must not share a target or an entry of the lock file, though their files may have one name.
    prefix = hex_of(digest_bytes((source.digest or _first(source)).encode()))[:8]
    return Path(workspace.cache) / "downloads" / f"{prefix}-{_name(source)}"


def ships(source: FileSource) -> bool:
    """Tell whether a file is part of the project, so that it is used in its place."""
    # The settings let no other source be without a digest.
    return source.digest is None and not source.record_first_use


def _shipped(source: FileSource) -> Path:
    """Use a file of the project in its place."""
    path = Path(source.mirrors[0])
    if path.is_file():
        return path
    where = "restore it from git, or make it if it is one that is made here"
    failure = MirrorFailure(FailureKind.MISSING, f"it is the project's own and is not there; {where}")
    failure.mirror = str(path)
    raise SourceMissing(path.name, [failure])


def _name(source: FileSource) -> str:
    return _first(source).rstrip("/").rpartition("/")[2]


def _first(source: FileSource) -> str:
    return without_secrets(source.mirrors[0]).partition("?")[0]


def _local(mirror: str, name: str) -> Path | None:
    address = parse_mirror(mirror)
    if isinstance(address, ZipMember):
        address, name = address.archive, ""
    return address.at(Path(), name) if isinstance(address, FileAddress) else None
