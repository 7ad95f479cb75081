"""The folder that a build by tpu-nntc leaves its bmodels in: whose it is, and how it comes to its content."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from artifacts.export import STAGING
from artifacts.files import fsync_folder, storage_errors
from artifacts.scratch import scratch_folder, sweep_scratch
from artifacts.swap import take_place
from settings.model import Settings
from tasks.errors import FolderNotOurs
from tasks.sources.address import FileAddress, ZipMember, parse_mirror
from tasks.workspace import Workspace

FOLDER = "nntc"
EVIDENCE = "not-measured.json"

_MIRRORS = ("mirrors", "image_mirrors")


def folder_of(settings: Settings) -> Path:
    """Return where the bmodels go: beside the release's folder, so that they are not taken for one."""
    return (Path(settings.release.folder).parent / FOLDER).absolute()


def check_folder(settings: Settings, workspace: Workspace) -> Path:
    """Look whether the folder may be replaced, before hours are spent on what goes there.

    Args:
        settings: Where it is, and every other place.
        workspace: Where the cache is.

    Returns:
        The folder.

    Raises:
        FolderNotOurs: It is, holds or lies in a place that the settings name, or it holds something that no such build
            left.
    """
    folder = folder_of(settings)
    real = Path(os.path.realpath(folder))
    for name, path in (*_places("", settings), ("the cache, CENTERNET_CACHE,", Path(workspace.cache))):
        other = Path(os.path.realpath(path))
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise FolderNotOurs(folder, f"{name} is {path}, which is, holds or lies in it")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FolderNotOurs(folder, "it is there and is no folder")
    if _holds_something(folder) and not _is_ours(folder):
        raise FolderNotOurs(folder, f"it holds something, and no {EVIDENCE} of such a build")
    return folder


def replaced(settings: Settings, workspace: Workspace, write: Callable[[Path], None]) -> Path:
    """Lay out the folder beside its place and let it take that, so that an earlier one stays until this one is whole.

    Args:
        settings: Where it is.
        workspace: Where the cache is.
        write: Fills a new folder.

    Returns:
        The folder.

    Raises:
        FolderNotOurs: As of `check_folder`: somebody else may have come meanwhile.
        StoreNotWritable: It cannot be written.
        NoSpace: The disk is full.
    """
    folder = check_folder(settings, workspace)
    staging = folder.parent / STAGING
    with storage_errors(folder.parent):
        sweep_scratch(staging)
        try:
            with scratch_folder(staging, folder.name) as scratch:
                (scratch / "new").mkdir()
                write(scratch / "new")
                _switch(scratch / "new", folder, scratch / "old")
                fsync_folder(folder.parent)
        finally:
            # It is not empty when another process lays out something beside us; that one removes it then.
            with suppress(OSError):
                staging.rmdir()
    return folder


def _switch(new: Path, folder: Path, aside: Path) -> None:
    in_use = _holds_something(folder)
    if in_use and not _is_ours(folder):
        raise FolderNotOurs(folder, "something else was put there while this was built")
    take_place(new, folder, aside if in_use else None)


def _holds_something(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        return any(folder.iterdir())
    return False


def _is_ours(folder: Path) -> bool:
    """Tell whether a build by tpu-nntc has left its evidence there."""
    try:
        found = json.loads((folder / EVIDENCE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("published") is False and {"toolchain", "models"} <= set(found)


def _places(name: str, value: object) -> Iterator[tuple[str, Path]]:
    """Go through all paths of the settings, each with its key."""
    if isinstance(value, BaseModel):
        value = {key: getattr(value, key) for key in type(value).model_fields}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _places(f"{name}.{key}".lstrip("."), inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _places(name, inner)
    elif isinstance(value, Path):
        yield name, value
    elif isinstance(value, str) and name.rpartition(".")[2] in _MIRRORS:
        address = parse_mirror(value)
        address = address.archive if isinstance(address, ZipMember) else address
        if isinstance(address, FileAddress):
            yield name, address.path.expanduser()
    elif name == "profile" and str(value).endswith(".toml"):
        yield name, Path(str(value))
