"""From what a user names to a release folder on this machine; nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

from artifacts.reference import Reference, is_reference, parse_reference
from inference.deploy.places import CURRENT, reading_root
from inference.deploy.state import PulledRelease
from inference.deploy.store import DeviceStore
from inference.errors import NothingPulled


def local_release(text: Optional[str] = None, *, store: Optional[Path] = None) -> Path:
    """Find the release folder, or the bmodel, that is meant.

    Args:
        text: A path, which is given back as it is; a reference (``oci:PATH:TAG``, ``host/repository:tag``) that was
            pulled before; or None for the current release of the device store.
        store: The device store; None looks for it (`inference.deploy.places.reading_root`).

    Returns:
        The path. For a release of the store it is that of the release itself, not of the link ``current``: a switch
        later on does not change what is read from it.

    Raises:
        NothingPulled: The store has no current release, or none by this reference.
        BadReference: The text is meant as a reference and is none.
        DeployError: The store's state is damaged.
    """
    if text is not None and not is_reference(text):
        return Path(text)
    there = DeviceStore(reading_root(store))
    if text is None:
        name = there.linked(CURRENT)
        if name is None:
            raise NothingPulled(
                f"no release is in use here: {there.root} has none. Fetch one by `python -m inference pull REFERENCE`, "
                "or name a release's folder by --model",
                there.root,
            )
        return there.folder(name)
    found = _pulled_by(parse_reference(text), there)
    if not found:
        raise NothingPulled(
            f"{text} was not pulled into {there.root}: fetch it by `python -m inference pull {text}`", there.root
        )
    return there.folder(found[-1].folder)


def lasting_name(reference: Reference) -> str:
    """Write a reference so that it means the same from every working folder."""
    if reference.kind == "oci":
        reference = reference.model_copy(update={"place": str(Path(reference.place).absolute())})
    return str(reference)


def _pulled_by(reference: Reference, store: DeviceStore) -> List[PulledRelease]:
    """The releases that a reference names, those in use last."""
    state = store.state()
    found = [
        one
        for one in state.releases
        if (lasting_name(reference) in one.references or reference.name == one.digest)
        and store.folder(one.folder).is_dir()
    ]
    rank = {state.previous: 1, state.current: 2}
    return sorted(found, key=lambda one: rank.get(one.folder, 0))
