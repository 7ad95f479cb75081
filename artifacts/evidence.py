"""Evidence: what was found out about a release after it was published, attached to it without changing it.

Each report is a manifest of its own whose ``subject`` is the release's index; the index under the tag
``sha256-<hex of the release>`` names them all (distribution-spec 1.1, "Referrers Tag Schema"). That works in a layout,
and on servers that know nothing of referrers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import Field, ValidationError

from artifacts import layout, media
from artifacts.descriptors import EMPTY, artifact, descriptor
from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import LayoutError, UnknownTag
from artifacts.files import PathLike, locked
from artifacts.in_use import in_use
from artifacts.layout_tags import TagChange, empty_index, referrers_tag, tag_entry
from artifacts.oci import MAX_MANIFEST_BYTES, parse
from artifacts.registry import Registry
from artifacts.release import Accuracy, Protocol
from artifacts.schema import problems
from artifacts.store import Blob, ContentStore, Digest
from artifacts.variant import Record

SCHEMA_VERSION = "1.0"
TITLE = "validation.json"
MAX_EVIDENCE_BYTES = 16 << 20

REFERRERS_LOCK = ".referrers.lock"


class Evidence(Record):
    """What one validation of one model of a release found.

    Attributes:
        release: Digest of the release's index.
        device: The device's name in the settings of whoever did it.
        created: When, RFC 3339, UTC.
        engine: ``sail`` or ``simulator``.
        chip: The chip that the model is for, which with ``sail`` is the device's.
        variant: Path of the model inside the release.
        model_digest: Of the bytes that were run.
        versions: Of the runtime that ran them.
        protocol: How accuracy was measured, and on what.
        accuracy: What was found; None where nothing is annotated.
        comparable: Whether it may be compared with the release's own numbers.
        comparison: The difference, or why there is none, in words.
        report: The whole report as it came back.
    """

    schema_version: str = SCHEMA_VERSION
    release: Digest
    device: str
    created: str
    engine: str
    chip: str
    variant: str
    model_digest: Digest
    versions: Dict[str, str]
    protocol: Protocol
    accuracy: Optional[Accuracy] = None
    comparable: bool
    comparison: str
    report: Dict[str, Any] = Field(default_factory=dict)

    @property
    def on_device(self) -> bool:
        """Whether a chip ran the model, and not its simulator."""
        return self.engine != "simulator"

    @property
    def place(self) -> str:
        """Where it ran: ``simulator of BM1688``, or ``device BM1684X, libsophon 0.5.1, sail 3.8.0``."""
        if not self.on_device:
            return f"simulator of {self.chip}"
        known = [f"{name} {self.versions[name]}" for name in ("libsophon", "sail") if name in self.versions]
        return ", ".join([f"device {self.chip}", *known])


class Attachment(NamedTuple):
    """Evidence as it is stored: a blob, the manifest that puts it to a release, and the manifest's descriptor."""

    layer: bytes
    manifest: bytes
    descriptor: Dict[str, Any]


def attach(layout_root: PathLike, evidence: Evidence) -> str:
    """Attach evidence to a release of a layout; the release itself and its digest stay as they are.

    Args:
        layout_root: The layout's folder.
        evidence: What was found.

    Returns:
        Digest of the new manifest.

    Raises:
        UnknownTag: The layout has no such release.
        LayoutError: It is damaged.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    root = Path(layout_root)
    _, subject = layout.resolve(root, evidence.release)
    made = attachment(evidence, len(subject))
    store = ContentStore(root)
    tag = referrers_tag(evidence.release)
    with in_use(root), locked(root / REFERRERS_LOCK):
        for data in (EMPTY, made.layer, made.manifest):
            store.put_bytes(data)
        try:
            _, before = layout.resolve(root, tag)
        except UnknownTag:
            before = None
        index = with_referrer(before, made.descriptor)
        store.put_bytes(index)
        layout.retag(root, [TagChange(tag, tag_entry(media.INDEX, index, tag), True)])
    return digest_bytes(made.manifest)


def attachment(evidence: Evidence, subject_size: int) -> Attachment:
    """Make the manifest of some evidence.

    Args:
        evidence: What was found.
        subject_size: Bytes of the release's index.
    """
    layer = evidence.to_json()
    annotations = {
        media.CREATED: evidence.created,
        media.DEVICE: evidence.device,
        media.ENGINE: evidence.engine,
        media.CHIP: evidence.chip,
    }
    subject = descriptor(media.INDEX, Blob(digest=evidence.release, size=subject_size))
    manifest = artifact(media.EVIDENCE_TYPE, media.VALIDATION, TITLE, layer, subject=subject, annotations=annotations)
    described = {**descriptor(media.MANIFEST, Blob.of(manifest)), "artifactType": media.EVIDENCE_TYPE}
    return Attachment(layer, manifest, {**described, "annotations": annotations})


def with_referrer(index: Optional[bytes], referrer: Dict[str, Any]) -> bytes:
    """Add a descriptor to an index of referrers; one that is there is not added again.

    Args:
        index: The index so far, None where there is none.
        referrer: Descriptor of the manifest that refers.

    Returns:
        The new index.

    Raises:
        LayoutError: What is there is no index, or it would become too large to be read again.
    """
    value = empty_index() if index is None else _index(index)
    kept = [entry for entry in value["manifests"] if entry.get("digest") != referrer["digest"]]
    data = canonical_json({**value, "manifests": [*kept, referrer]})
    if len(data) > MAX_MANIFEST_BYTES:
        raise LayoutError(f"{len(kept)} things refer to this release already: no more can be attached.")
    return data


def evidence_of(registry: Registry, release: str) -> Tuple[Evidence, ...]:
    """Read all evidence about a release, every byte verified.

    Args:
        registry: A layout or a server.
        release: Digest of the release's index.

    Returns:
        The evidence in the order in which it was attached; what other tools attached is left out.

    Raises:
        LayoutError: What is there is damaged, or about another release.
        StoreError: Bytes are missing or damaged.
        RegistryError: The registry cannot be read.
    """
    try:
        _, data = registry.resolve(referrers_tag(release))
    except UnknownTag:
        return ()
    found: List[Evidence] = []
    for entry in _index(data)["manifests"]:
        if entry.get("artifactType") == media.EVIDENCE_TYPE:
            manifest = parse(registry.read(_blob(entry), MAX_MANIFEST_BYTES), "a manifest")
            found += [_read(registry.read(_blob(layer), MAX_EVIDENCE_BYTES), release) for layer in _layers(manifest)]
    return tuple(found)


def summary(found: Sequence[Evidence]) -> str:
    """Say in a few words where a release was proven to run.

    Returns:
        ``none``, ``simulator only (64 images)``, or ``on device BM1684X, libsophon 0.5.1, sail 3.8.0 (5000 images);
        on device ...``; where there were several runs, with the number of images of the largest.
    """
    images: Dict[str, int] = {}
    for one in [one for one in found if one.on_device] or found:
        place = f"on {one.place}" if one.on_device else "simulator only"
        images[place] = max(images.get(place, 0), one.protocol.images)
    return "; ".join(f"{place} ({count} images)" for place, count in images.items()) or "none"


def _read(data: bytes, release: str) -> Evidence:
    value = parse(data, "evidence", MAX_EVIDENCE_BYTES)
    try:
        evidence = Evidence.model_validate(value)
    except ValidationError as error:
        raise LayoutError(
            f"Evidence about {release} cannot be read: {problems(error)}. It was made by a newer version of this "
            "program, or is damaged."
        ) from error
    if evidence.release != release:
        raise LayoutError(f"Evidence that is attached to {release} is about {evidence.release}: do not trust it.")
    return evidence


def _index(data: bytes) -> Dict[str, Any]:
    value = parse(data, "an index of referrers")
    entries = value.get("manifests")
    if value.get("mediaType") != media.INDEX or not isinstance(entries, list):
        raise LayoutError("What should be an index of referrers is none: something else has its tag.")
    if not all(isinstance(entry, dict) for entry in entries):
        raise LayoutError("An index of referrers holds something that is no descriptor.")
    return value


def _layers(manifest: Dict[str, Any]) -> List[Dict[str, Any]]:
    layers = manifest.get("layers")
    return [
        layer
        for layer in (layers if isinstance(layers, list) else [])
        if isinstance(layer, dict) and layer.get("mediaType") == media.VALIDATION
    ]


def _blob(entry: Dict[str, Any]) -> Blob:
    try:
        return Blob.model_validate(entry)
    except ValidationError as error:
        raise LayoutError(f"A descriptor has no digest or size: {json.dumps(entry)[:200]}.") from error
