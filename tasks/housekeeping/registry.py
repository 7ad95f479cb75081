"""What may go in the registry's folder: bytes that no tag leads to. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import ArtifactError, ReleaseInUse, UnknownTag
from artifacts.layout_index import is_layout, load_index
from artifacts.layout_reach import reachable, without
from tasks.housekeeping.model import Age, Item, Kind, entries
from tasks.housekeeping.releases import Release, Releases


def staying(releases: Releases, root: Path, forgotten: Sequence[str]) -> Releases:
    """Return the releases without some versions.

    Args:
        releases: All of them.
        root: The registry's folder, for messages.
        forgotten: Versions that shall go.

    Raises:
        UnknownTag: There is no such version.
        ReleaseInUse: A channel means it.
    """
    found = list(releases.found)
    for version in forgotten:
        one = next((one for one in found if version in one.tags and version not in one.channels), None)
        if one is None:
            known = tuple(tag for each in found for tag in each.tags if tag not in each.channels)
            raise UnknownTag(version, root, known)
        if one.channels:
            raise ReleaseInUse(version, one.channels)
        rest = tuple(tag for tag in one.tags if tag != version)
        place = found.index(one)
        found[place : place + 1] = [one._replace(tags=rest)] if rest else []
    return releases._replace(found=tuple(found))


def survey_registry(root: Path, releases: Releases, forgotten: Sequence[str], age: Age) -> tuple[list[Item], list[str]]:
    """Look through the registry's folder.

    Args:
        root: The folder.
        releases: What is in it; where some of that cannot be read, everything stays.
        forgotten: Versions that are to be removed; what only they hold goes whatever its age.
        age: What counts as old.

    Returns:
        What may go, and what is to be said.
    """
    if releases.problems or not root.is_dir() or not is_layout(root):
        return [], [*releases.problems]
    try:
        index = load_index(root)
        before = reachable(root, index)
        for version in forgotten:
            index = without(index, version)
        after = reachable(root, index)
    except (ArtifactError, OSError) as error:
        return [], [f"not everything in the registry {root} can be followed, so all of it stays: {error}"]
    items = []
    for found in entries(root / "blobs" / "sha256"):
        digest = f"sha256:{found.path.name}"
        if digest in after:
            continue
        if digest in before:
            items.append(found.item(Kind.REGISTRY, f"only {', '.join(forgotten)} has them"))
        elif age.old(found):
            items.append(found.item(Kind.REGISTRY, "no tag leads to them, such as after a publication was killed"))
    for name in ("quarantine", "incoming"):
        items += [found.item(Kind.REGISTRY, f"old {name}") for found in entries(root / name) if age.old(found)]
    return items, []


def old_versions(found: Sequence[Release]) -> str:
    """Say how many releases no channel means, and how one is removed; empty where there is none."""
    listed = [one.name for one in found if not one.channels]
    if not listed:
        return ""
    count = "1 release is" if len(listed) == 1 else f"{len(listed)} releases are"
    return (
        f"{count} in the registry that no channel means: {', '.join(listed[:5])}{', ...' if len(listed) > 5 else ''}. "
        "They stay, with what they were made of; --forget VERSION removes one."
    )
