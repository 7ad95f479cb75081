"""A folder as a registry: one OCI image layout (image-spec 1.1) is one repository of releases.

Below the root lie ``oci-layout``, ``index.json`` (the tags) and ``blobs/sha256/<hex>``, beside the content store's own
working folders, which the specification allows. Blobs come first and ``index.json`` last, in one rename, so a reader
sees a whole release or none of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from artifacts import media
from artifacts.checking import Problem, Told
from artifacts.digest import check_digest, digest_bytes, digest_file
from artifacts.errors import ArtifactError, DamagedBlob, LayoutError, MissingBlob, TagExists, UnknownTag
from artifacts.export import ReleaseFiles, materialise
from artifacts.files import PathLike, locked
from artifacts.in_use import in_use
from artifacts.layout_index import INDEX_FILE, LOCK_FILE, load_index, make_layout, write_index
from artifacts.layout_tags import TagChange, changes_for, entries_of, find, is_trust_tag, retagged, tag_of
from artifacts.oci import MAX_MANIFEST_BYTES, RECORD_TITLE, Child, build, parse, read_index, read_manifest
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord
from artifacts.store import Blob, ContentStore
from artifacts.variant import Record


class Published(Record):
    """What publishing did."""

    digest: str
    changed: bool
    tags: Tuple[str, ...]


def publish(
    layout_root: PathLike, record: ReleaseRecord, files: Mapping[str, PathLike], tags: Sequence[str]
) -> Published:
    """Put a release into the layout under some tags; a second identical call writes nothing.

    Args:
        layout_root: The layout's folder; made when missing.
        record: The release.
        files: Title (its path inside the release folder) to local file: every variant's bmodel under `Variant.path`,
            and what else goes with the release. A file in a folder named after a chip goes with that chip only.
        tags: Names for it: versions never move, the channels ``latest`` and ``stable`` do.

    Returns:
        The release's digest, and whether anything was written.

    Raises:
        TagExists: A version tag names another release; nothing was written.
        LayoutError: A title or tag is not acceptable, a file is missing or not what the record says, or the folder
            holds something else.
        NoSpace: The file system is full; the tags are as they were.
        StoreNotWritable: The folder cannot be written.
        OSError: A file cannot be read.
    """
    root = Path(layout_root)
    sources = {title: Path(path) for title, path in files.items() if title != RECORD_TITLE}
    blobs = {title: Blob(digest=digest_file(path), size=path.stat().st_size) for title, path in sources.items()}
    built = build(record, blobs)
    changes = changes_for(built, tags)
    make_layout(root)
    store = store_of(root)
    _refuse_early(root, changes)
    with in_use(root):
        written = [_ensure_file(store, blob, sources[title], title) for title, blob in blobs.items()]
        written += [_ensure_bytes(store, data) for data in (built.record, *built.manifests.values(), built.index_json)]
        store.settle()
        written.append(retag(root, changes))
    return Published(digest=digest_bytes(built.index_json), changed=any(written), tags=tuple(dict.fromkeys(tags)))


def retag(layout_root: PathLike, changes: Sequence[TagChange]) -> bool:
    """Set tags in an existing layout, all of them or none, while no other process does.

    Args:
        layout_root: The layout's folder.
        changes: What the tags shall name; the bytes are there.

    Returns:
        Whether anything was written.

    Raises:
        TagExists: A version tag names something else.
        LayoutError: The folder is no layout, its index is damaged, or would become too large.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    root = Path(layout_root)
    with locked(root / LOCK_FILE):
        before = load_index(root)
        after = retagged(before, changes)
        needed = after != before or not (root / INDEX_FILE).is_file()
        if needed:
            write_index(root, after)
        return needed


def tags(layout_root: PathLike) -> Dict[str, str]:
    """Return the tags of releases, each with the digest it names; the tags of single chips are left out.

    Raises:
        LayoutError: The folder is no layout, or its index is damaged.
    """
    releases = (entry for entry in entries_of(load_index(Path(layout_root))) if entry.get("mediaType") == media.INDEX)
    named = {tag_of(entry): str(entry.get("digest")) for entry in releases}
    return {tag: digest for tag, digest in named.items() if tag and not is_trust_tag(tag)}


def resolve(layout_root: PathLike, ref: str) -> Tuple[str, bytes]:
    """Find a release by tag or digest and return its index after hashing it.

    Args:
        layout_root: The layout's folder.
        ref: A tag, or ``sha256:<64 hex>``. The tag or digest of one chip's manifest gives that manifest.

    Returns:
        The digest and the bytes of the index.

    Raises:
        UnknownTag: Nothing there has this name.
        BadDigest: It starts like a digest but is none.
        DamagedBlob: The stored bytes are others.
        LayoutError: The folder is no layout, or its index is damaged.
    """
    root = Path(layout_root)
    index = load_index(root)
    entry = None if ref.startswith("sha256:") else find(index, ref)
    if entry is None and not ref.startswith("sha256:"):
        raise UnknownTag(ref, root, tuple(tags(root)))
    digest = check_digest(ref if entry is None else str(entry.get("digest")))
    try:
        return digest, small_blob(root, digest, MAX_MANIFEST_BYTES)
    except MissingBlob as error:
        raise UnknownTag(ref, root, tuple(tags(root))) from error


def export(
    layout_root: PathLike,
    ref: str,
    folder: PathLike,
    chips: Optional[Sequence[str]] = None,
    *,
    replace: bool = False,
) -> Path:
    """Write a release as a plain folder: ``release.json`` on top, bmodels in folders named after their chips.

    Every byte is hashed on the way. The folder appears whole, by a rename, or not at all.

    Args:
        layout_root: The layout's folder.
        ref: A tag or digest.
        folder: The new folder. When it already holds exactly this release, nothing is written.
        chips: Which chips' files to write; None for all.
        replace: Whether a folder that holds another release may be replaced.

    Returns:
        The folder as a path.

    Raises:
        UnknownTag: Nothing there has this name.
        LayoutError: The release has no such chip, is inconsistent, or the folder holds something else.
        MissingBlob: Bytes of the release are not there.
        DamagedBlob: Stored bytes are others.
        NewerSchema: The release was made by a newer generation of this program.
        BadRecord: Its record cannot be read.
        NoSpace: The file system is full.
        StoreNotWritable: The folder's parent cannot be written.
    """
    root = Path(layout_root)
    files = release_files(root, ref, chips)
    return materialise(files, store_of(root), Path(folder), replace=replace)


def check(layout_root: PathLike, told: Optional[Told] = None) -> List[Problem]:
    """Look at everything in the layout: every blob is hashed, every tag followed to the last file.

    Args:
        layout_root: The layout's folder.
        told: Called with the bytes of each blob when it was looked at.

    Returns:
        What is wrong; empty for a sound layout.
    """
    root = Path(layout_root)
    problems = store_of(root).verify_all(told)
    try:
        entries = entries_of(load_index(root))
        for tag in filter(None, map(tag_of, entries)):
            find({"manifests": entries}, tag)
    except ArtifactError as error:
        return [Problem(root, str(error)), *problems]
    for entry in entries:
        # What other tools attach may be anything; our own signatures are hashed above like every blob.
        if entry.get("mediaType") in (media.INDEX, media.MANIFEST) and not is_trust_tag(tag_of(entry) or ""):
            try:
                _walk(root, str(entry.get("digest")))
            except ArtifactError as error:
                problems.append(Problem(root / INDEX_FILE, f"{tag_of(entry) or 'an untagged entry'}: {error}"))
    return problems


def _walk(root: Path, digest: str) -> None:
    files, store = release_files(root, digest, None), store_of(root)
    for blob in (*files.blobs.values(), files.record):
        path = store.path(blob)
        if path.stat().st_size != blob.size:
            raise DamagedBlob(blob.digest, path, f"it has other than {blob.size} bytes", advice=store.advice)


def release_files(root: Path, ref: str, chips: Optional[Sequence[str]] = None) -> ReleaseFiles:
    """Read which files a release has, as its record and its manifests agree.

    Args:
        root: The layout's folder.
        ref: A tag or digest.
        chips: Whose files; None for all.

    Raises:
        UnknownTag: Nothing there has this name.
        LayoutError: The release has no such chip, or is inconsistent.
        StoreError: Something on the way is missing or damaged.
        ReleaseError: Its record cannot be used.
    """
    digest, data = resolve(root, ref)
    if parse(data, "a manifest").get("mediaType") == media.MANIFEST:
        children = [Child(read_manifest(data).chip, Blob(digest=digest, size=len(data)))]
    else:
        children = read_index(data)
    there = [child.chip for child in children]
    absent = [chip for chip in chips or () if chip not in there]
    if absent:
        raise LayoutError(f"The release {ref!r} has nothing for {', '.join(absent)}; choose among {', '.join(there)}.")
    manifests = [
        read_manifest(small_blob(root, child.blob.digest, MAX_MANIFEST_BYTES), child.chip)
        for child in children
        if chips is None or child.chip in chips
    ]
    files = ReleaseFiles.of(manifests)
    return files.checked_against(ReleaseRecord.from_json(small_blob(root, files.record.digest, MAX_RECORD_BYTES)))


def store_of(layout_root: PathLike) -> ContentStore:
    """Return the store of a layout's bytes: whoever only reads there cannot mend them, so its errors say who can."""
    return ContentStore(layout_root, f"whoever publishes to {layout_root} has to publish the release again")


def small_blob(root: Path, digest: str, limit: int) -> bytes:
    """Read a blob of the layout into memory and hash it.

    Raises:
        LayoutError: It has more than `limit` bytes.
        MissingBlob: It is not there.
        DamagedBlob: Its bytes are others.
    """
    store = store_of(root)
    path = store.path(Blob(digest=digest, size=0))
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise LayoutError(f"{digest} has more than the {limit} bytes that are accepted.")
    if digest_bytes(data) != digest:
        raise DamagedBlob(digest, path, f"its bytes hash to {digest_bytes(data)}", advice=store.advice)
    return data


def _refuse_early(root: Path, changes: Sequence[TagChange]) -> None:
    """Find out before anything is written whether the tags can be set."""
    try:
        retagged(load_index(root), changes)
    except TagExists as error:
        try:
            small_blob(root, check_digest(error.existing), MAX_MANIFEST_BYTES)
        except (ArtifactError, OSError) as problem:
            raise LayoutError(
                f"The tag {error.tag!r} names {error.existing}, which is damaged or not there: index.json or that file "
                f"has decayed ({problem}) Restore the registry {root} from the backup; a new version would hide it."
            ) from error
        raise


def _ensure_file(store: ContentStore, blob: Blob, source: Path, title: str) -> bool:
    if store.is_sound(blob):
        return False
    stored = store.put_file(source)
    if stored != blob:
        raise LayoutError(f"{source} ({title}) changed while it was being published: publish again when it is at rest.")
    return True


def _ensure_bytes(store: ContentStore, data: bytes) -> bool:
    if store.is_sound(Blob.of(data)):
        return False
    store.put_bytes(data)
    return True
