"""The tags of an OCI image layout: ``index.json`` as a value, changed by pure functions.

Format: image-spec 1.1, image-layout.md. Entries that other tools wrote are kept as they are.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from artifacts import media
from artifacts.descriptors import descriptor
from artifacts.digest import hex_of
from artifacts.errors import LayoutError, TagExists
from artifacts.oci import Built, check_tag, child_tag
from artifacts.release import CHIPS
from artifacts.store import Blob

# The tags that move from release to release; every other tag is a version and stays where it is.
CHANNELS = ("latest", "stable")

# Tags of what belongs to a release and is none: our signatures and channel records, and whatever other tools attach
# under the digest (distribution-spec 1.1, "Referrers Tag Schema").
_TRUST_TAG = re.compile(rf"channel-({'|'.join(CHANNELS)})|sha256-[0-9a-f]{{64}}([.-].*)?", re.IGNORECASE)


class TagChange(NamedTuple):
    """What a tag shall name."""

    tag: str
    descriptor: Dict[str, Any]
    moves: bool


def empty_index() -> Dict[str, Any]:
    """Return the index of a layout without tags."""
    return {"schemaVersion": 2, "mediaType": media.INDEX, "manifests": []}


def entries_of(index: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Return the descriptors in an index.

    Raises:
        LayoutError: The index has no list of objects there.
    """
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise LayoutError("index.json has no list of manifests: it was damaged, or belongs to something else.")
    return entries


def tag_of(entry: Mapping[str, Any]) -> Optional[str]:
    """Return the tag of a descriptor in ``index.json``, or None when it has none."""
    annotations = entry.get("annotations")
    tag = annotations.get(media.TAG) if isinstance(annotations, dict) else None
    return tag if isinstance(tag, str) else None


def find(index: Mapping[str, Any], tag: str) -> Optional[Dict[str, Any]]:
    """Return the descriptor with this tag, or None.

    Raises:
        LayoutError: The tag stands at two different digests.
    """
    found = [entry for entry in entries_of(index) if tag_of(entry) == tag]
    if len({str(entry.get("digest")) for entry in found}) > 1:
        raise LayoutError(f"index.json names {len(found)} things {tag!r}: which one is meant cannot be told.")
    return found[0] if found else None


def is_child_tag(tag: str) -> bool:
    """Tell whether a tag is, or looks like, that of one chip's manifest."""
    return any(tag.lower().endswith(child_tag("", chip)) for chip in CHIPS)


def signature_tag(digest: str) -> str:
    """Return the tag of a release's signature.

    Args:
        digest: The release's; so its signature is found whatever the release was asked for by.
    """
    return f"sha256-{hex_of(digest)}.dsse"


def channel_tag(channel: str) -> str:
    """Return the tag of a channel's signed record."""
    return f"channel-{channel}"


def is_trust_tag(tag: str) -> bool:
    """Tell whether a tag is, or looks like, that of a signature or of a channel's record."""
    return _TRUST_TAG.fullmatch(tag) is not None


def referrers_tag(digest: str) -> str:
    """Return the tag of the index of what refers to a manifest (distribution-spec 1.1, "Referrers Tag Schema")."""
    return f"sha256-{hex_of(digest)}"


def changes_for(built: Built, tags: Sequence[str]) -> List[TagChange]:
    """Return the tags that a release asks for: the given ones, and one for each chip's manifest beside each.

    Raises:
        LayoutError: No tag was given, or one breaks the grammar or looks like a chip's.
    """
    if not tags:
        raise LayoutError("A release needs at least one tag, usually its version.")
    changes: List[TagChange] = []
    for tag in dict.fromkeys(tags):
        if is_child_tag(tag):
            raise LayoutError(f"The tag {tag!r} ends like the tag of one chip's manifest: choose another.")
        if is_trust_tag(tag):
            raise LayoutError(f"The tag {tag!r} is kept for signatures: choose another.")
        moves = tag in CHANNELS
        changes.append(TagChange(tag, tag_entry(media.INDEX, built.index_json, check_tag(tag)), moves))
        for chip, data in built.manifests.items():
            name = check_tag(child_tag(tag, chip))
            changes.append(TagChange(name, tag_entry(media.MANIFEST, data, name), moves))
    return changes


def retagged(index: Mapping[str, Any], changes: Sequence[TagChange]) -> Dict[str, Any]:
    """Return the index with the tags set.

    Args:
        index: What is there; not modified.
        changes: All tags of one release.

    Returns:
        An equal index when every tag was already right.

    Raises:
        TagExists: A version tag names something else.
        LayoutError: The index is not one.
    """
    entries = entries_of(index)
    wanted = {change.tag: change for change in changes}
    # A channel that moves to a release with fewer chips must not keep the old release's file for the others.
    stale = {child_tag(tag, chip) for tag in CHANNELS if tag in wanted for chip in CHIPS} - set(wanted)
    kept: List[Dict[str, Any]] = []
    for entry in entries:
        tag = tag_of(entry)
        change = wanted.get(tag) if tag is not None else None
        if change is None:
            kept += [] if tag in stale else [entry]
        elif entry.get("digest") == change.descriptor["digest"]:
            # Tags alone are believed of an entry: its type and size may have decayed.
            kept.append({**entry, **{name: change.descriptor[name] for name in ("mediaType", "digest", "size")}})
        elif not change.moves:
            raise TagExists(change.tag, str(entry.get("digest")), str(change.descriptor["digest"]))
    there = {tag_of(entry) for entry in kept}
    kept += [change.descriptor for change in changes if change.tag not in there]
    return {**index, "manifests": kept}


def tag_entry(media_type: str, data: bytes, tag: str) -> Dict[str, Any]:
    """Return the descriptor that stands in ``index.json`` for an index or manifest under a tag."""
    return {**descriptor(media_type, Blob.of(data)), "annotations": {media.TAG: tag}}
