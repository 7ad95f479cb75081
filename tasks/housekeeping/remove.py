"""Removing what a plan names, so that a kill at any moment leaves everything that is left sound.

What names bytes goes before the bytes: a cache record before the files it names, a compiler's mark that it is ready
before its files, a version's tags before its blobs. Files are removed only while nobody holds them, and only when they
are still as they were when the plan was made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from artifacts.errors import ArtifactError
from artifacts.files import remove_if_abandoned
from artifacts.layout_reach import remove_version
from artifacts.scratch import remove_tree, sweep_scratch
from tasks.housekeeping.model import Item, Kind, by_kind
from tasks.toolchain.contents import READY
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


class Removed(NamedTuple):
    """What was done.

    Attributes:
        items: What was removed.
        left: What could not be removed, with the reason.
    """

    items: tuple[Item, ...] = ()
    left: tuple[tuple[Path, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes that were freed."""
        return sum(item.size for item in self.items)


def remove_items(items: Sequence[Item], workspace: Workspace) -> Removed:
    """Remove things, in the order of their kinds.

    Args:
        items: What to remove.
        workspace: Whose scratch folders are swept.

    Returns:
        What was removed, and what could not be: a disk that refuses one thing does not keep the others.
    """
    done, left = [], []
    for kind, group in by_kind(items):
        log.info("removing %s: %d ...", kind.value, len(group))
        if kind is Kind.SCRATCH:
            with suppress(ArtifactError):  # told below, by what is still there
                sweep_scratch(workspace.content.root / "scratch")
        for item in group:
            try:
                if _gone(item):
                    done.append(item)
            except FileNotFoundError:
                continue
            except OSError as error:
                left.append((item.path, error.strerror or str(error)))
    return Removed(tuple(done), tuple(left))


def forget(root: Path, versions: Sequence[str]) -> None:
    """Take versions out of the registry.

    Args:
        root: The registry's folder.
        versions: Version tags.

    Raises:
        RegistryError: One is not there, a channel means it, or the registry is damaged.
        StoreError: The disk is full, or the folder cannot be written.
    """
    for version in versions:
        remove_version(root, version)
        log.info("the version %s is no longer in the registry", version)


def _gone(item: Item) -> bool:
    path = item.path
    if item.kind is Kind.SCRATCH:
        if path.exists():
            raise OSError("it is in use, or cannot be removed")
        return True
    if path.lstat().st_mtime_ns != item.modified:
        return False
    if path.is_symlink():
        path.unlink()
        return True
    if not path.is_dir():
        return remove_if_abandoned(path)
    if item.kind is Kind.TOOLCHAIN:
        with suppress(FileNotFoundError):
            (path / READY).unlink()
    remove_tree(path)
    if path.exists():
        raise OSError(f"not all of it could be removed, such as {next(path.rglob('*'), path)}")
    return True
