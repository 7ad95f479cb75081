"""Everything in a layout looked at, beyond what a reader needs: tags that decayed into others, and what is attached.

A flipped bit in ``index.json`` may leave good JSON with another tag in it. The tags of a release say one thing several
times (the version is in the release too, each chip's manifest has a tag of its own), and so tell on each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from artifacts import media
from artifacts.attachments import read_envelope
from artifacts.checking import Problem, Told
from artifacts.digest import check_digest
from artifacts.errors import ArtifactError, MissingBlob
from artifacts.evidence import evidence_of
from artifacts.files import PathLike
from artifacts.layout import check, small_blob, store_of
from artifacts.layout_index import INDEX_FILE, load_index
from artifacts.layout_reach import named_in
from artifacts.layout_tags import CHANNELS, channel_tag, entries_of, is_trust_tag, signature_tag, tag_of
from artifacts.oci import MAX_MANIFEST_BYTES, child_tag, parse, read_index
from artifacts.registry import LayoutRegistry
from artifacts.release import CHIPS
from artifacts.signing import PublicKey
from artifacts.statements import read_channel, read_statement
from artifacts.store import Blob

Entry = Mapping[str, Any]

# image-spec 1.1, image-index.md and descriptor.md.
_INDEX_MEMBERS = {"schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"}
_ENTRY_MEMBERS = {"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"}
_ABOUT = len("sha256-") + 64
_SIGNATURE = signature_tag("sha256:" + "0" * 64)[_ABOUT:]


def audit(layout_root: PathLike, keys: Sequence[PublicKey] = (), told: Optional[Told] = None) -> List[Problem]:
    """Look at everything in a layout, what is attached to releases too. Changes nothing.

    Args:
        layout_root: The layout's folder.
        keys: Whose signatures are known; without any, signatures are only read.
        told: Called with the bytes of each blob when it was looked at.

    Returns:
        What is wrong; empty for a sound layout.
    """
    root = Path(layout_root)
    problems = check(root, told)
    try:
        index = load_index(root)
        entries = entries_of(index)
    except (ArtifactError, OSError):
        return problems  # said already
    reasons = list(_odd_members(index))
    reasons += [f"{_name(entry)}: {reason}" for entry in entries for reason in _odd(root, entry, entries)]
    reasons += [f"{_name(entry)}: {reason}" for entry in entries for reason in _lost(root, entry)]
    releases = {tag_of(entry) or "": str(entry.get("digest")) for entry in entries if _is_release(entry)}
    reasons += _attached(LayoutRegistry(root), releases, keys)
    known = {problem.reason for problem in problems}
    return problems + [Problem(root / INDEX_FILE, reason) for reason in dict.fromkeys(reasons) if reason not in known]


def _odd_members(index: Mapping[str, Any]) -> Iterator[str]:
    if index.get("schemaVersion") != 2:
        yield "its schemaVersion is not 2"
    if index.get("mediaType", media.INDEX) != media.INDEX:
        yield f"its mediaType is {index.get('mediaType')!r}, not {media.INDEX!r}"
    strange = [
        *(set(index) - _INDEX_MEMBERS),
        *(name for one in entries_of(index) for name in set(one) - _ENTRY_MEMBERS),
    ]
    if strange:
        yield f"it has {', '.join(map(repr, sorted(strange)))}, which the specification does not know"


def _odd(root: Path, entry: Entry, entries: Sequence[Entry]) -> Iterator[str]:
    """What an entry says that does not fit what it leads to, or the other entries."""
    tag = tag_of(entry)
    try:
        data = small_blob(root, check_digest(str(entry.get("digest"))), MAX_MANIFEST_BYTES)
        value = parse(data, "a manifest")
    except (ArtifactError, OSError) as error:
        yield str(error)
        return
    if entry.get("size") != len(data):
        yield f"its size is {len(data)}, not {entry.get('size')}"
    kind = value.get("mediaType", entry.get("mediaType"))
    if kind != entry.get("mediaType"):
        yield f"its media type is {kind!r}, not {entry.get('mediaType')!r}"
    if tag is None:
        yield "it has no tag, so that nobody can ask for it: another tool made it, or its tag has decayed"
    elif _is_release(entry):
        yield from _odd_release(tag, data, entries)
    elif is_trust_tag(tag):
        about = {str(one.get("digest")).replace(":", "-") for one in entries if _is_release(one)}
        if tag[:_ABOUT] not in about and tag not in map(channel_tag, CHANNELS):
            yield "it is about no release that has a tag"
        ours = {*map(channel_tag, CHANNELS), *(f"{one}{_SIGNATURE}" for one in about)}
        if value.get("artifactType") == media.SIGNATURE and tag not in ours:
            yield "it is a signature, and its tag is that of none"
    else:
        parents = {child_tag(tag_of(one) or "", chip) for one in entries if _is_release(one) for chip in CHIPS}
        if tag not in parents:
            yield "it is the tag of no release's chip: another tool made it, or it has decayed"


def _odd_release(tag: str, data: bytes, entries: Sequence[Entry]) -> Iterator[str]:
    try:
        children = read_index(data)
    except ArtifactError as error:
        yield str(error)
        return
    version = parse(data, "an index").get("annotations", {}).get(media.VERSION)
    if tag not in CHANNELS and version != tag:
        yield f"the release that it names is the version {version}: another tool tagged it, or the tag has decayed"
    named = {(tag_of(one), one.get("digest")) for one in entries}
    for child in children:
        if (child_tag(tag, child.chip), child.blob.digest) not in named:
            yield f"there is no tag {child_tag(tag, child.chip)} for its {child.chip}"


def _lost(root: Path, entry: Entry) -> Iterator[str]:
    """What an entry leads to that is not there; what is damaged was hashed already."""
    todo: List[Dict[str, Any]] = [dict(entry)]
    seen = set()
    while todo:
        one = todo.pop()
        digest = str(one.get("digest"))
        if digest in seen:
            continue
        seen.add(digest)
        try:
            store_of(root).path(Blob(digest=digest, size=0))
            todo += named_in(root, one)
        except MissingBlob as error:
            yield str(error)
        except (ArtifactError, ValueError, OSError):
            continue


def _attached(registry: LayoutRegistry, releases: Mapping[str, str], keys: Sequence[PublicKey]) -> Iterator[str]:
    for digest in dict.fromkeys(releases.values()):
        try:
            evidence_of(registry, digest)
        except (ArtifactError, OSError) as error:
            yield f"the evidence about {digest}: {error}"
        try:
            envelope = read_envelope(registry, signature_tag(digest))
            if envelope is not None and keys and read_statement(envelope, keys).digest != digest:
                yield f"the signature of {digest} is about another release"
        except (ArtifactError, OSError) as error:
            yield f"the signature of {digest}: {error}"
    for channel in CHANNELS:
        try:
            envelope = read_envelope(registry, channel_tag(channel))
            if envelope is not None and keys and read_channel(envelope, keys).digest != releases.get(channel):
                yield f"the signed record of {channel} means another release than its tag: promote it again"
        except (ArtifactError, OSError) as error:
            yield f"the signed record of {channel}: {error}"


def _is_release(entry: Entry) -> bool:
    tag = tag_of(entry)
    return entry.get("mediaType") == media.INDEX and tag is not None and not is_trust_tag(tag)


def _name(entry: Entry) -> str:
    return tag_of(entry) or f"the entry {entry.get('digest')}"
