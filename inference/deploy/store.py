"""The device store: releases side by side, and two links that are switched so that no moment shows a broken one.

``state.json`` is replaced first and is what counts; the links are made to agree with it. Whoever is killed in between
has switched: the next command finishes it. Until then the links name whole releases too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Optional

from artifacts.bounded import read_bounded
from artifacts.digest import digest_file
from artifacts.errors import LockTimeout
from artifacts.files import PathLike, fsync_folder, locked, storage_errors
from artifacts.scratch import scratch_folder, sweep_scratch
from artifacts.store import Blob, ContentStore
from inference.deploy.places import CURRENT, PREVIOUS
from inference.deploy.state import MAX_STATE_BYTES, STATE_FILE, DeviceState, PulledRelease
from inference.errors import DeployError

RELEASES = "releases"
# The content store has a lock of its own, and a working folder of its own.
_STATE_LOCK, _PULL_LOCK, _STAGING = ".state.lock", ".pull.lock", "staging"
LOCKS = (_STATE_LOCK, _PULL_LOCK, ".lock")
_SWITCH_WAIT_S = 60.0


class DeviceStore:
    """Releases in one folder.

    Args:
        root: The folder; made when something is first written.

    Attributes:
        root: The folder.
        content: What was fetched.
    """

    def __init__(self, root: PathLike) -> None:
        self.root = Path(root).absolute()
        self.content = ContentStore(self.root)
        self._staging = self.root / _STAGING

    def state(self) -> DeviceState:
        """Read what the store holds.

        Raises:
            DeployError: The state is damaged or of a newer generation.
            OSError: It cannot be read.
        """
        path = self.root / STATE_FILE
        try:
            return DeviceState.from_json(read_bounded(path, MAX_STATE_BYTES), path)
        except FileNotFoundError:
            return DeviceState()
        except NotADirectoryError:
            raise DeployError(f"{self.root} is no folder, so it cannot be a device store: name another one") from None

    def check_used(self) -> None:
        """Refuse a folder that no pull ever used.

        Raises:
            DeployError: There is no such folder, or it is something else.
        """
        if not self.root.is_dir():
            raise DeployError(f"there is no device store {self.root}: check the name, or pull a release into it first")
        # A killed first pull leaves no state, and who pins keys puts them there before.
        if not any((self.root / name).exists() for name in (STATE_FILE, RELEASES, _STATE_LOCK, _PULL_LOCK, "keys")):
            raise DeployError(
                f"{self.root} is no device store: it holds no {STATE_FILE}. A store is what `python -m inference pull` "
                "fills; a release's own folder is named by --model"
            )

    def folder(self, name: str) -> Path:
        """Return where a release lies."""
        return self.root / RELEASES / name

    def linked(self, link: str) -> Optional[str]:
        """Return the name of the release that ``current`` or ``previous`` leads to, None where it leads to none."""
        path = self.root / link
        target = _target(path)
        if target is None or not self.folder(Path(target).name).is_dir():
            return None
        return Path(target).name

    @contextmanager
    def pulling(self, wait_s: float) -> Iterator[None]:
        """Hold the store against other pulls and against pruning; switching back stays possible meanwhile.

        Args:
            wait_s: Seconds to wait for another one to end.

        Raises:
            DeployError: Another one was still at work then.
            StoreNotWritable: The store cannot be written.
        """
        try:
            with locked(self.root / _PULL_LOCK, timeout_s=wait_s):
                yield
        except LockTimeout as error:
            raise DeployError(f"another pull is at work in {self.root}: try again when it has ended") from error

    def tidy(self) -> None:
        """Remove what dead processes left, and finish a switch that one began.

        Raises:
            DeployError: The state cannot be read, or a link's name is taken by something else.
            StoreNotWritable: The store cannot be written.
        """
        self.content.sweep()
        sweep_scratch(self._staging)
        with self._switching():
            self._follow(self.state())

    def place(self, files: Mapping[str, Blob], name: str) -> bool:
        """Lay a release out in its folder, which appears whole; in one that is there only what is wrong is replaced.

        Args:
            files: By path in the folder; the bytes are in `content`.
            name: Of the folder.

        Returns:
            Whether anything was written.

        Raises:
            MissingBlob: Bytes are not in the store.
            DamagedBlob: Stored bytes are others.
            NoSpace: The file system is full.
            StoreNotWritable: The store cannot be written.
        """
        folder = self.folder(name)
        if folder.is_dir():
            wrong = [title for title, blob in files.items() if not holds(folder / title, blob)]
            for title in wrong:
                self.content.link(files[title], folder / title)
            fsync_folder(folder.parent)  # whoever made it may have been killed before doing so
            return bool(wrong)
        with storage_errors(self.root), scratch_folder(self._staging, "release") as scratch:
            new = scratch / "new"
            for title, blob in files.items():
                self.content.link(blob, new / title)
            for made in (new, *(path for path in new.rglob("*") if path.is_dir())):
                fsync_folder(made)
            folder.parent.mkdir(exist_ok=True)
            new.rename(folder)
            fsync_folder(folder.parent)
            fsync_folder(self.root)
        return True

    def add(self, release: PulledRelease, *, activate: bool) -> DeviceState:
        """Note a release that was placed, and make it the current one if asked.

        Args:
            release: The release.
            activate: Whether it becomes the current one.

        Returns:
            The state after that.

        Raises:
            DeployError: The state cannot be read, or a link's name is taken by something else.
            LockTimeout: Another process has been switching for a minute.
            NoSpace: The file system is full.
            StoreNotWritable: The store cannot be written.
        """

        def added(state: DeviceState) -> DeviceState:
            after = state.with_release(release)
            return after.activated(release.folder) if activate else after

        return self.change(added)

    def change(self, change: Callable[[DeviceState], DeviceState]) -> DeviceState:
        """Replace the state by one made from it, and let the links follow.

        Args:
            change: Makes the new state; called with the one that is there, while no other process changes it.

        Returns:
            The new state.

        Raises:
            As `add`, and what `change` raises.
        """
        with self._switching():
            before = self.state()
            after = change(before)
            if after != before:
                self._replace(STATE_FILE, lambda path: _write_durably(path, after.to_json()))
            self._follow(after)
            return after

    @contextmanager
    def discarding(self) -> Iterator[Path]:
        """Lend a folder on this file system; what is moved there is gone when the body ends."""
        with storage_errors(self.root), scratch_folder(self._staging, "discard") as folder:
            yield folder

    @contextmanager
    def _switching(self) -> Iterator[None]:
        with storage_errors(self.root), locked(self.root / _STATE_LOCK, timeout_s=_SWITCH_WAIT_S):
            yield

    def _follow(self, state: DeviceState) -> None:
        # Previous first: should this be interrupted, what is running stays where it can be found.
        for link, name in ((PREVIOUS, state.previous), (CURRENT, state.current)):
            if name is None:
                continue  # a state that was removed by hand says nothing about the links
            path = self.root / link
            if not path.is_symlink() and path.exists():
                raise DeployError(f"{path} is no link of ours: move it away, then try again")
            target = f"{RELEASES}/{name}"
            if _target(path) != target:
                self._replace(link, partial(os.symlink, target))

    def _replace(self, name: str, make: Callable[[Path], object]) -> None:
        with scratch_folder(self._staging, name) as scratch:
            make(scratch / name)
            fsync_folder(scratch)
            (scratch / name).replace(self.root / name)
            fsync_folder(self.root)


def _target(link: Path) -> Optional[str]:
    # Path.readlink is newer than Python 3.8.
    return os.readlink(link) if link.is_symlink() else None  # noqa: PTH115


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def holds(path: Path, blob: Blob) -> bool:
    """Whether a file of a release is there and hashes to what was pulled."""
    with suppress(OSError):
        return not path.is_symlink() and path.stat().st_size == blob.size and digest_file(path) == blob.digest
    return False
