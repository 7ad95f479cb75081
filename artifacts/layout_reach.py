"""What the tags of a layout lead to, and taking a version out of it.

Whatever no entry of ``index.json`` leads to is left over from a publication that was killed, or from something whose
tag has moved on. What other tools put there is followed as far as the specification says how.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from artifacts import layout, media
from artifacts.attachments import read_envelope
from artifacts.digest import check_digest, hex_of
from artifacts.errors import ArtifactError, LayoutError, MissingBlob, ReleaseInUse, UnknownTag
from artifacts.files import PathLike, locked
from artifacts.layout_index import LOCK_FILE, load_index, write_index
from artifacts.layout_tags import CHANNELS, channel_tag, entries_of, find, tag_of
from artifacts.oci import MAX_MANIFEST_BYTES, child_tag, parse
from artifacts.registry import LayoutRegistry
from artifacts.release import CHIPS
from artifacts.store import Blob
from artifacts.strict_json import decoded

# Docker's own types of the same two things, as `skopeo copy` may leave them.
_FOLLOWED = (
    media.INDEX,
    media.MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Tagged(NamedTuple):
    """A release and what names it.

    Attributes:
        digest: Of its index.
        tags: Versions and channels, sorted.
    """

    digest: str
    tags: Tuple[str, ...]

    @property
    def channels(self) -> Tuple[str, ...]:
        """The channels among its tags."""
        return tuple(tag for tag in self.tags if tag in CHANNELS)


def releases(layout_root: PathLike) -> List[Tagged]:
    """List the releases of a layout, each once.

    Raises:
        LayoutError: The folder is no layout, or its index is damaged.
    """
    named: Dict[str, List[str]] = {}
    for tag, digest in layout.tags(layout_root).items():
        named.setdefault(digest, []).append(tag)
    return [Tagged(digest, tuple(sorted(tags))) for digest, tags in sorted(named.items())]


def without(index: Mapping[str, Any], version: str) -> Dict[str, Any]:
    """Return an index without a release: its tags, those of its chips, its signature and the evidence about it.

    Args:
        index: What is there; not modified.
        version: A version tag. Where another version names the same release, only this tag goes.

    Raises:
        UnknownTag: It is no tag.
        LayoutError: The index is damaged.
    """
    entry = None if version in CHANNELS else find(index, version)
    entries = entries_of(index)
    if entry is None or entry.get("mediaType") != media.INDEX:
        raise UnknownTag(version, "the registry", tuple(sorted(filter(None, map(tag_of, entries)))))
    digest = check_digest(str(entry.get("digest")))
    gone = {version, *(child_tag(version, chip) for chip in CHIPS)}
    others = [one for one in entries if one.get("digest") == digest and tag_of(one) not in gone]
    about = () if others else (f"sha256-{hex_of(digest)}",)
    kept = [one for one in entries if tag_of(one) not in gone and not (tag_of(one) or "").startswith(about or ("\0",))]
    return {**index, "manifests": kept}


def remove_version(layout_root: PathLike, version: str) -> None:
    """Take a version out of a layout, atomically; its bytes stay until they are cleaned away.

    Args:
        layout_root: The layout's folder.
        version: A version tag.

    Raises:
        UnknownTag: There is no such version.
        ReleaseInUse: A channel names the release.
        LayoutError: The layout is damaged.
        StoreError: The disk is full, or the folder cannot be written.
    """
    root = Path(layout_root)
    with locked(root / LOCK_FILE):
        index = load_index(root)
        after = without(index, version)
        entry = find(index, version)
        digest = str(entry.get("digest")) if entry else ""
        channels = [name for name in CHANNELS if digest in channel_digests(root, index, name)]
        if channels:
            raise ReleaseInUse(version, channels)
        write_index(root, after)


def channel_digests(root: Path, index: Mapping[str, Any], channel: str) -> Set[str]:
    """Return what a channel means: by its tag, and by its signed record, whoever signed that.

    Raises:
        LayoutError: The layout, or the record, is damaged.
        StoreError: Bytes of the record are missing or damaged.
    """
    entry = find(index, channel)
    found = {str(entry.get("digest"))} if entry else set()
    envelope = read_envelope(LayoutRegistry(root), channel_tag(channel))
    if envelope is not None:
        try:
            found.add(str(decoded(base64.b64decode(decoded(envelope)["payload"]))["digest"]))
        except (ValueError, LookupError, TypeError) as error:
            raise LayoutError(f"The signed record of {channel} cannot be read: {error}. Promote it again.") from error
    return found


def reachable(layout_root: PathLike, index: Optional[Mapping[str, Any]] = None) -> FrozenSet[str]:
    """Return the digests of all that the layout's entries lead to.

    Args:
        layout_root: The layout's folder.
        index: What to start from in place of the layout's own ``index.json``.

    Raises:
        LayoutError: The layout, or something on the way, is damaged.
        StoreError: Something on the way is missing or damaged.
    """
    root = Path(layout_root)
    found: Set[str] = set()
    todo = list(entries_of(load_index(root) if index is None else index))
    while todo:
        entry = todo.pop()
        digest = check_digest(str(entry.get("digest")))
        if digest in found:
            continue
        found.add(digest)
        todo += named_in(root, entry)
    return frozenset(found)


def reached_from(layout_root: PathLike, digest: str) -> FrozenSet[str]:
    """Return the digests of all that one release leads to, its own among them.

    Raises:
        LayoutError: Something on the way is damaged.
        StoreError: Something on the way is missing or damaged.
    """
    return reachable(layout_root, {"manifests": [{"mediaType": media.INDEX, "digest": digest}]})


def named_in(root: Path, entry: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
    """Return the descriptors in what a descriptor leads to; none where that is no manifest.

    Args:
        root: The layout's folder.
        entry: The descriptor.

    Raises:
        LayoutError: It is damaged.
        StoreError: It is missing or damaged.
    """
    if entry.get("mediaType") not in _FOLLOWED:
        return
    digest = check_digest(str(entry.get("digest")))
    value = parse(layout.small_blob(root, digest, MAX_MANIFEST_BYTES), "a manifest")
    for name in ("manifests", "layers", "blobs"):
        listed = value.get(name)
        yield from (one for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict))
    if isinstance(value.get("config"), dict):
        yield value["config"]
    subject = value.get("subject")
    # A subject need not be there (image-spec 1.1).
    if isinstance(subject, dict) and _is_there(root, subject):
        yield subject


def _is_there(root: Path, entry: Mapping[str, Any]) -> bool:
    try:
        layout.store_of(root).path(Blob(digest=str(entry.get("digest")), size=0))
    except (MissingBlob, ArtifactError, ValueError):
        return False
    return True
