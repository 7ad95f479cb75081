"""The folder that a bundle is unpacked into: what in it is ours, and how another bundle takes the place of the last.

Nothing but what the last bundle's list names is ever removed, and that only when all of the new one lies there proven.
Runs before there is any environment, so that nothing here needs more than Python itself.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from artifacts.digest import digest_bytes, digest_file, hex_of
from artifacts.files import atomic_write, fsync_folder
from tasks.bundle.manifest import MAX_BYTES, NAME, STAGING, BundledFile, Manifest, encoded, parse
from tasks.errors import BundleRefused

_ELSEWHERE = "Name another folder, or move this one away."


class Folder:
    """A folder for one bundle, to be used by one process at a time."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Look what lies there.

        Args:
            path: The folder; need not exist.
            manifest: What it shall hold.

        Raises:
            BundleRefused: It holds something that is no bundle of ours, or something among its files that no list
                names.
        """
        self.path = path
        self.manifest = manifest
        self._names = {one.name for one in manifest.files}
        self._found = set(_entries(path))
        self._before = _files_before(path)
        self._check_strangers()
        self.missing = tuple(one for one in manifest.files if not _is_there(path / one.name, one))

    def staged(self, one: BundledFile) -> Path:
        """Return where a file lies from when it is proven until all are: under no name that a bundle could choose."""
        return self.path / STAGING / hex_of(digest_bytes(f"{one.digest} {one.name}".encode()))

    def stage(self) -> tuple[BundledFile, ...]:
        """Make the folder for files on their way; what a run that was ended had proven is hashed again and kept.

        Returns:
            The files that have yet to come.
        """
        folder = self.path / STAGING
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {self.staged(one): one for one in self.missing}
        for path in folder.iterdir():
            if path not in wanted or not _is_there(path, wanted[path]):
                _remove(path)
        return tuple(one for path, one in wanted.items() if not path.exists())

    def switch(self) -> None:
        """Put what is staged in its place, and remove what the last bundle's list names and the new one's does not.

        A run that is ended half way leaves files that the list, written first, names: the next one goes on.
        """
        # Only what a walk that follows no link has met: a folder may have become a link to somebody's files.
        for name in sorted((self._before & self._found) - self._names):
            (self.path / name).unlink(missing_ok=True)
        _remove_empty(self.path, _tops(self._before | self._names))
        # By way of the folder for files on their way: a half-written list beside it is what nobody could tell from
        # somebody else's file, and a run that was killed right then would have to be cleaned up after by hand.
        listing = self.path / STAGING / NAME
        atomic_write(listing, encoded(self.manifest))
        listing.replace(self.path / NAME)
        fsync_folder(self.path)
        for one in self.missing:
            target = self.path / one.name
            target.parent.mkdir(parents=True, exist_ok=True)
            self.staged(one).replace(target)

    def tidy(self) -> None:
        """Remove the folder for files on their way where nothing is left in it."""
        with suppress(OSError):
            (self.path / STAGING).rmdir()

    def _check_strangers(self) -> None:
        """Refuse what would be taken for the bundle's: installers take every package there, and links lead away."""
        tops = _tops(self._names)
        strange = self._found - self._names - self._before
        strangers = sorted(name for name in strange if name.partition("/")[0] in tops)
        if strangers:
            reasons = [f"{name[:80]!r} lies there, and no bundle's list names it" for name in strangers]
            raise BundleRefused(self.path, reasons, "Move that away, or name another folder.")


def check_folder(path: Path) -> Path:
    """Make sure that a bundle may be unpacked into a folder, as far as can be told without its list.

    Returns:
        The same, absolute.

    Raises:
        BundleRefused: It is a link or no folder, or holds something that is no bundle of ours.
    """
    try:
        usable = not path.is_symlink() and (path.is_dir() or not path.exists()) and path.resolve().name
    except RuntimeError:  # links that lead to one another
        usable = False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        usable = False
    if not usable:
        raise BundleRefused(path, ["it is no folder for a bundle"], "Name another folder.")
    _files_before(path.resolve())
    return path.resolve()


def _files_before(path: Path) -> set[str]:
    """Return the names that the bundle lists which lies there; none where there is nothing."""
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} - {STAGING}:
        return set()
    head = path / NAME
    try:
        if not S_ISREG(head.lstat().st_mode):
            raise BundleRefused(path, [f"its {NAME} is no file"], _ELSEWHERE)
        with head.open("rb") as stream:
            return {one.name for one in parse(stream.read(MAX_BYTES + 1)).files}
    except FileNotFoundError:
        raise BundleRefused(path, ["it holds something else than a bundle"], _ELSEWHERE) from None
    except ValueError as error:
        raise BundleRefused(path, [f"its {NAME} is none of ours, or damaged: {error}"], _ELSEWHERE) from error


def _entries(path: Path) -> Iterator[str]:
    """Give all below a folder that is no folder, by name below it; links are not followed."""
    for here, folders, files in os.walk(path):
        below = Path(here).relative_to(path)
        for name in (*files, *(one for one in folders if (Path(here) / one).is_symlink())):
            yield (below / name).as_posix()
        if below == Path():
            folders[:] = [one for one in folders if one != STAGING]


def _remove(path: Path) -> None:
    if S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()


def _remove_empty(path: Path, tops: Collection[str]) -> None:
    for top in tops:
        if (path / top).is_symlink():
            continue
        for here, _, _ in os.walk(path / top, topdown=False):
            with suppress(OSError):
                Path(here).rmdir()


def _tops(names: Collection[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def _is_there(path: Path, one: BundledFile) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        found = path.lstat()
        return S_ISREG(found.st_mode) and found.st_size == one.size and digest_file(path) == one.digest
    return False
