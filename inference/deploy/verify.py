"""Whether a device store is still what was pulled. Reads, and changes nothing; may be done beside a pull."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

from artifacts.checking import Problem, Told, Wanted, check_files
from artifacts.errors import ArtifactError
from artifacts.signing import load_keys
from inference.deploy.places import CURRENT, PREVIOUS
from inference.deploy.state import STATE_FILE, DeviceState
from inference.deploy.store import LOCKS, RELEASES, DeviceStore
from inference.deploy.trust import KEYS_FOLDER, TRUST_FILE, check_memory
from inference.errors import InferenceError


def verify(store: DeviceStore, told: Optional[Told] = None) -> List[Problem]:
    """Hash the releases and the kept files of a device store, and read what says which is which.

    Args:
        store: The device store.
        told: Called with the bytes of each file when it was looked at.

    Returns:
        What is wrong; empty for a sound store.
    """
    try:
        state = store.state()
    except (InferenceError, OSError) as error:
        return [Problem(store.root / STATE_FILE, str(error)), *store.content.verify_all(told)]
    problems = _releases(store, state, told)
    problems += store.content.verify_all(told)
    lost = [wanted for wanted in _kept(store, state).values() if not wanted.path.exists()]
    problems += [
        Problem(wanted.path, "it is not there, so that it cannot be had again without a pull") for wanted in lost
    ]
    return [*problems, *_links(store, state), *_trust(store)]


def _releases(store: DeviceStore, state: DeviceState, told: Optional[Told]) -> List[Problem]:
    wanted = [
        Wanted(store.folder(one.folder) / title, blob.digest, blob.size)
        for one in state.releases
        for title, blob in sorted(one.files.items())
    ]
    links = [Problem(one.path, "it is a link, not the file itself") for one in wanted if one.path.is_symlink()]
    known = {one.folder for one in state.releases}
    if not (store.root / STATE_FILE).exists() and (store.root / RELEASES).is_dir():
        links.append(Problem(store.root / STATE_FILE, "it is not there, though there are releases"))
    there = store.root / RELEASES
    strays = [path for path in sorted(there.iterdir()) if path.name not in known] if there.is_dir() else []
    reason = f"no release in {STATE_FILE} has this folder: that file was lost, or a pull was killed"
    return [*check_files(wanted, told), *links, *(Problem(path, reason) for path in strays)]


def _kept(store: DeviceStore, state: DeviceState) -> Dict[str, Wanted]:
    blobs = [blob for one in state.releases for blob in one.files.values()]
    folder = store.root / "blobs" / "sha256"
    return {blob.digest: Wanted(folder / blob.digest.rpartition(":")[2], blob.digest, blob.size) for blob in blobs}


def _links(store: DeviceStore, state: DeviceState) -> List[Problem]:
    problems = []
    for link, name in ((CURRENT, state.current), (PREVIOUS, state.previous)):
        path = store.root / link
        if name is not None and (not path.is_symlink() or store.linked(link) != name):
            problems.append(Problem(path, f"it does not lead to {RELEASES}/{name}"))
    folders = [store.root / name for name in LOCKS if (store.root / name).is_dir()]
    return [*problems, *(Problem(path, "it is a folder, not a file: move it away") for path in folders)]


def _trust(store: DeviceStore) -> List[Problem]:
    problems: List[Problem] = []
    keys, memory = store.root / KEYS_FOLDER, store.root / TRUST_FILE
    try:
        check_memory(store.root)
    except (InferenceError, ArtifactError, OSError) as error:
        problems.append(Problem(memory, str(error)))
    paths: List[Path] = sorted(keys.iterdir()) if keys.is_dir() else []
    for path in paths:
        try:
            load_keys(path)
        except (ArtifactError, OSError) as error:
            problems.append(Problem(path, str(error)))
    return problems
