"""Publishing a release from a layout to a server, byte for byte, in an order that a reader never sees a part of.

Blobs first, then each chip's manifest under a tag of its own (which also keeps it from the garbage collection of
distribution 2), then the index under its version, then the channels. No server compares before it sets a tag, so two
publishers of one version at the same moment are told apart only by what is there afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import BadReference, GateNotPassed, LayoutError, TagExists
from artifacts.export import ReleaseFiles
from artifacts.files import PathLike
from artifacts.layout_tags import CHANNELS, is_child_tag, is_trust_tag
from artifacts.oci import MAX_MANIFEST_BYTES, child_tag, parse, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock, Limits
from artifacts.remote.upload import has_blob, put_manifest, upload_blob
from artifacts.store import Blob
from artifacts.variant import Record


class Pushed(Record):
    """What pushing did.

    Attributes:
        digest: The release's.
        version: The tag that never moves.
        channels: The tags that were asked to move to it.
        changed: Whether anything was written; False when all was there.
        sent: Blobs that were missing there.
        sent_bytes: Their size together.
    """

    digest: str
    version: str
    channels: Tuple[str, ...]
    changed: bool
    sent: int
    sent_bytes: int


@dataclass(frozen=True)
class Parcel:
    """A release as it lies in a layout, read and checked.

    Attributes:
        digest: The index's.
        index: Its bytes.
        children: Chip to the bytes of its manifest.
        blobs: All files, the record among them.
        record: The release record.
    """

    digest: str
    index: bytes
    children: Dict[str, bytes]
    blobs: Tuple[Blob, ...]
    record: ReleaseRecord


def push(
    layout_root: PathLike,
    name: str,
    target: Reference,
    *,
    channels: Sequence[str] = (),
    access: Optional[Access] = None,
    limits: Optional[Limits] = None,
    clock: Optional[Clock] = None,
    progress: Optional[Callable[[int], None]] = None,
) -> Pushed:
    """Publish a release of a layout on a server. Safe to run again: what is there is not sent twice.

    Args:
        layout_root: The layout's folder.
        name: A tag or digest of the release there.
        target: Where to, and under which tag. A channel as tag publishes under the record's version and moves the
            channel.
        channels: Channels to move to it as well, ``latest`` or ``stable``.
        access: Credentials and trust; what the environment and docker's configuration say when None.
        limits: How patient to be.
        clock: Where time comes from.
        progress: Called with the bytes of each blob once it is there.

    Returns:
        What was done.

    Raises:
        TagExists: The version names another release there; nothing was written.
        GateNotPassed: A channel was asked for, and not every variant passed its gate; nothing was written.
        BadReference: The target is no server, is a digest, or a channel is none.
        UnknownTag: The layout has no such release.
        LayoutError: The layout is damaged, or the name is that of one chip's manifest.
        StoreError: A blob in the layout is missing or damaged.
        RegistryError: The server cannot be reached, or refuses.
    """
    parcel = packed(layout_root, name)
    version, moved = _names(parcel, target, channels)
    store = layout.store_of(layout_root)
    registry = RemoteRegistry(
        target.place, target.repository, access=access, limits=limits, clock=clock, actions="pull,push"
    )
    with registry:
        tagged = _missing_tags(registry, parcel, version)
        sent: List[Blob] = []
        for blob in parcel.blobs:
            if not has_blob(registry, blob):
                upload_blob(registry, blob, store.verified(blob))
                sent.append(blob)
            if progress is not None:
                progress(blob.size)
        for tag, data, media_type in tagged:
            put_manifest(registry, tag, data, media_type)
        behind = [channel for channel in moved if registry.tag_digest(channel) != parcel.digest]
        for channel in behind:
            put_manifest(registry, channel, parcel.index, media.INDEX)
    return Pushed(
        digest=parcel.digest,
        version=version,
        channels=moved,
        changed=bool(sent or tagged or behind),
        sent=len(sent),
        sent_bytes=sum(blob.size for blob in sent),
    )


def packed(layout_root: PathLike, name: str) -> Parcel:
    """Read a release from a layout with everything that belongs to it.

    Args:
        layout_root: The layout's folder.
        name: A tag or digest.

    Raises:
        UnknownTag: Nothing there has this name.
        LayoutError: It is not a whole release, or is inconsistent.
        StoreError: A part of it is missing or damaged.
        ReleaseError: Its record cannot be used.
    """
    root = Path(layout_root)
    digest, index = layout.resolve(root, name)
    if parse(index, "an index").get("mediaType") != media.INDEX:
        raise LayoutError(f"{name!r} is one chip's manifest: push the release that it belongs to.")
    children = {
        child.chip: layout.small_blob(root, child.blob.digest, MAX_MANIFEST_BYTES) for child in read_index(index)
    }
    files = ReleaseFiles.of([read_manifest(data, chip) for chip, data in children.items()])
    record = ReleaseRecord.from_json(layout.small_blob(root, files.record.digest, MAX_RECORD_BYTES))
    blobs = {blob.digest: blob for blob in files.checked_against(record).blobs.values()}
    return Parcel(digest, index, children, tuple(blobs.values()), record)


def failed_variants(record: ReleaseRecord) -> Tuple[str, ...]:
    """Return the paths of the variants that did not pass a gate, those that were never judged among them."""
    return tuple(item.variant.path for item in record.variants if item.gate is None or not item.gate.passed)


def _names(parcel: Parcel, target: Reference, channels: Sequence[str]) -> Tuple[str, Tuple[str, ...]]:
    if target.kind != "remote":
        raise BadReference(str(target), "a release is pushed to a server")
    if target.by_digest:
        raise BadReference(str(target), "a release is pushed under a tag, not a digest")
    strange = [channel for channel in channels if channel not in CHANNELS]
    if strange:
        raise BadReference(
            target.named(strange[0]).home, f"{strange[0]!r} is no channel; these are: {', '.join(CHANNELS)}"
        )
    version = parcel.record.version if target.name in CHANNELS else target.name
    # Through `named`, as the version may be no tag.
    if is_child_tag(target.named(version).name):
        raise BadReference(str(target), "its tag ends like the tag of one chip's manifest")
    if is_trust_tag(version):
        raise BadReference(str(target), "its tag is kept for signatures")
    moved = tuple(dict.fromkeys([*([target.name] if target.name in CHANNELS else []), *channels]))
    if moved and failed_variants(parcel.record):
        raise GateNotPassed(parcel.record.version, failed_variants(parcel.record))
    return version, moved


def _missing_tags(registry: RemoteRegistry, parcel: Parcel, version: str) -> List[Tuple[str, bytes, str]]:
    wanted = [(child_tag(version, chip), data, media.MANIFEST) for chip, data in parcel.children.items()]
    wanted.append((version, parcel.index, media.INDEX))
    missing: List[Tuple[str, bytes, str]] = []
    for tag, data, media_type in wanted:
        there, ours = registry.tag_digest(tag), digest_bytes(data)
        if there is None:
            missing.append((tag, data, media_type))
        elif there != ours:
            raise TagExists(tag, there, ours)
    return missing
