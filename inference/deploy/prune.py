"""Going back to the release before, and removing what neither link leads to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import List, NamedTuple, Set, Tuple

from artifacts.digest import hex_of
from inference.deploy.places import CURRENT, PREVIOUS
from inference.deploy.state import DeviceState, PulledRelease
from inference.deploy.store import RELEASES, DeviceStore, holds
from inference.errors import DeployError, NothingPulled

_BUSY_S = 1.0


class Pruned(NamedTuple):
    """What was removed.

    Attributes:
        releases: Names of the release folders.
        blobs: How many blobs, damaged and unfinished ones counted.
        freed: Their size in bytes.
    """

    releases: List[str]
    blobs: int
    freed: int


def rollback(store: DeviceStore) -> PulledRelease:
    """Make the previous release the current one, and the other way round. Needs no network.

    Args:
        store: The device store.

    Returns:
        The release that is in use now.

    Raises:
        NothingPulled: There is no previous release, or its folder is gone.
        DeployError: The state is damaged, or a file of the previous release is no longer what was pulled.
        StoreNotWritable: The store cannot be written.
    """
    store.tidy()

    def swapped(state: DeviceState) -> DeviceState:
        back = state.find(state.previous)
        if back is None or not store.folder(back.folder).is_dir():
            raise NothingPulled(
                f"there is no release before the one in use in {store.root}: pull the wanted one by its version",
                store.root,
            )
        _check_whole(store, back)
        return state.swapped()

    after = store.change(swapped)
    found = after.find(after.current)
    assert found is not None  # checked above, under the lock
    return found


def _check_whole(store: DeviceStore, back: PulledRelease) -> None:
    """Hash what would be put to use: it may have lain there for years."""
    for title, blob in sorted(back.files.items()):
        path = store.folder(back.folder) / title
        if not holds(path, blob):
            raise DeployError(
                f"{path} is no longer the file that was pulled, so the release in use stays. Pull that release again: "
                "what is damaged is fetched anew"
            )


def prune(store: DeviceStore) -> Pruned:
    """Remove the releases that neither ``current`` nor ``previous`` leads to, and the bytes that only they needed.

    Args:
        store: The device store.

    Returns:
        What was removed.

    Raises:
        DeployError: A pull is at work, or the state is damaged; nothing was removed.
        StoreNotWritable: The store cannot be written.
    """
    with store.pulling(_BUSY_S):
        store.tidy()
        # Forgotten first: a release that is half removed must not be found any more.
        state = store.change(DeviceState.reduced)
        kept = {state.current, state.previous, store.linked(CURRENT), store.linked(PREVIOUS)}
        folders = [path for path in _entries(store.root / RELEASES) if path.name not in kept]
        with store.discarding() as rubbish:
            for path in folders:
                path.rename(rubbish / path.name)
        blobs, freed = _remove_blobs(store, state)
    return Pruned([path.name for path in folders], blobs, freed)


def _remove_blobs(store: DeviceStore, state: DeviceState) -> Tuple[int, int]:
    needed: Set[str] = {hex_of(blob.digest) for one in state.releases for blob in one.files.values()}
    count = freed = 0
    # No pull is at work, so nobody goes on with what has come of a blob.
    folders = [store.root / "blobs" / "sha256", store.root / "quarantine", store.content.incoming]
    for path in (path for folder in folders for path in _entries(folder)):
        found = path.stat()
        # A release that only a link tells of has its files linked from here.
        if path.name not in needed and found.st_nlink == 1:
            path.unlink()
            count, freed = count + 1, freed + found.st_size
    return count, freed


def _entries(folder: Path) -> List[Path]:
    with suppress(FileNotFoundError):
        return sorted(folder.iterdir())
    return []
