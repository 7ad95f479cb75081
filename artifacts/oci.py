"""Index and manifests of a release: pure functions between records and bytes (OCI image-spec 1.1).

The shape is the one that kept its digest through every registry and client tried: no artifactType on the index or in
its descriptors (older skopeo drops it and so changes the digest), platform unknown/unknown (a client that takes the
first child would run the wrong chip's file; this makes it refuse), and the chip named both in the index and in the
child, so that a client which came by digest can still refuse.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artifacts import media
from artifacts.descriptors import descriptor
from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import LayoutError
from artifacts.release import CHIPS, ReleaseRecord
from artifacts.schema import problems
from artifacts.store import Blob, Digest
from artifacts.strict_json import decoded

RECORD_TITLE = "release.json"
# distribution-spec 1.1: registries should accept manifests of at least 4 MiB; larger ones are not portable.
MAX_MANIFEST_BYTES = 4 << 20
MAX_TITLE_BYTES = 200
_MAX_FILES = 1000

# distribution-spec 1.1, "Pulling manifests": the grammar of a tag.
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_TITLE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+=@,()-]*")


class Child(NamedTuple):
    """One chip's manifest as the index names it."""

    chip: str
    blob: Blob


class Manifest(NamedTuple):
    """What one chip's manifest holds."""

    chip: str
    record: Blob
    files: Dict[str, Blob]


class Built(NamedTuple):
    """A release ready to be stored: the bytes that its digests are made from."""

    index_json: bytes
    manifests: Dict[str, bytes]
    record: bytes


class _Descriptor(BaseModel):
    model_config = ConfigDict(frozen=True)

    mediaType: str
    digest: Digest
    size: int = Field(ge=0, le=1 << 40)
    annotations: Dict[str, str] = {}

    @property
    def blob(self) -> Blob:
        return Blob(digest=self.digest, size=self.size)


class _Index(BaseModel):
    manifests: List[_Descriptor] = Field(max_length=_MAX_FILES)


class _Manifest(BaseModel):
    config: _Descriptor
    layers: List[_Descriptor] = Field(max_length=_MAX_FILES)
    annotations: Dict[str, str] = {}


def check_tag(tag: str) -> str:
    """Return the text when it may be a tag.

    Raises:
        LayoutError: It breaks the grammar of tags.
    """
    if _TAG.fullmatch(tag) is None:
        raise LayoutError(
            f"{tag[:140]!r} cannot be a tag: use at most 128 letters, digits, '.', '_' and '-', starting with a "
            "letter, a digit or '_'."
        )
    return tag


def check_title(title: str) -> str:
    """Return the text when it is safe as a relative path below a release folder.

    Raises:
        LayoutError: It is empty, too long, absolute, climbs with ``..``, or has characters that are not safe
            everywhere.
    """
    parts = title.split("/")
    if len(title.encode("utf-8", "replace")) > MAX_TITLE_BYTES or not all(map(_TITLE_PART.fullmatch, parts)):
        raise LayoutError(
            f"{title[:100]!r} is not accepted as a file name of a release: use a relative path of at most "
            f"{MAX_TITLE_BYTES} bytes whose parts start with a letter, a digit or '_'. The release may be hostile."
        )
    return title


def check_titles(titles: List[str]) -> None:
    """Check every title, and that no file has the name of another's folder.

    Raises:
        LayoutError: A title is unsafe, or two get in each other's way.
    """
    for title in titles:
        check_title(title)
    taken = set(titles)
    for title in titles:
        folders = title.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            if "/".join(folders[:depth]) in taken:
                raise LayoutError(f"{'/'.join(folders[:depth])!r} is both a file and the folder of {title!r}.")


def child_tag(tag: str, chip: str) -> str:
    """Return the tag of one chip's manifest: it lets plain clients pull it, and keeps it from garbage collection."""
    return f"{tag}-{chip.lower()}"


def build(record: ReleaseRecord, files: Mapping[str, Blob]) -> Built:
    """Make the index and the manifests of a release.

    Args:
        record: The release.
        files: Title to blob: every variant's bmodel under its `path`, and whatever else goes with the release. A file
            in a folder named after a chip goes with that chip; every other file goes with all chips.

    Returns:
        The bytes; equal arguments give equal bytes.

    Raises:
        LayoutError: A title is unsafe, a variant's file is missing or another than the record says.
    """
    check_titles([*files, RECORD_TITLE])
    _check_files(record, files)
    encoded = record.to_json()
    whole = {**files, RECORD_TITLE: Blob.of(encoded)}
    manifests = {chip: canonical_json(_manifest(chip, whole)) for chip in record.chips}
    annotations = {media.VERSION: record.version, media.NAME: record.name}
    if record.demonstration:
        annotations[media.DEMONSTRATION] = "true"
    index = {
        "schemaVersion": 2,
        "mediaType": media.INDEX,
        "annotations": annotations,
        "manifests": [
            {
                **descriptor(media.MANIFEST, Blob.of(data)),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {media.CHIP: chip},
            }
            for chip, data in manifests.items()
        ],
    }
    return Built(canonical_json(index), manifests, encoded)


def read_index(data: bytes) -> List[Child]:
    """Read the index of a release.

    Raises:
        LayoutError: It is no index, names a chip twice, or a child without a chip.
    """
    value = parse(data, "an index")
    if value.get("mediaType") != media.INDEX:
        found = value.get("mediaType")
        raise LayoutError(f"This is no release: its media type is {found!r}, not {media.INDEX!r}. Choose another name.")
    children: List[Child] = []
    for entry in _validated(_Index, value).manifests:
        chip = _known_chip(entry.annotations.get(media.CHIP))
        if any(chip == child.chip for child in children):
            raise LayoutError(f"The release names {chip} more than once: which file is meant cannot be told.")
        children.append(Child(chip, entry.blob))
    return children


def read_manifest(data: bytes, expected_chip: Optional[str] = None) -> Manifest:
    """Read one chip's manifest.

    Args:
        data: Its bytes.
        expected_chip: What the index said, when it was reached through one.

    Raises:
        LayoutError: It is no manifest of a release, is for another chip, or has unsafe or repeated titles.
    """
    value = parse(data, "a manifest")
    if value.get("mediaType") != media.MANIFEST or value.get("artifactType") != media.ARTIFACT_TYPE:
        found = value.get("artifactType")
        raise LayoutError(f"This is no model of ours: its artifact type is {found!r}. Choose another name.")
    manifest = _validated(_Manifest, value)
    chip = _known_chip(manifest.annotations.get(media.CHIP))
    if expected_chip is not None and chip != expected_chip:
        raise LayoutError(f"The index names this manifest for {expected_chip}, but it says that it is for {chip}.")
    if manifest.config.mediaType != media.RELEASE_CONFIG:
        raise LayoutError(f"The manifest's record is {manifest.config.mediaType!r}, not {media.RELEASE_CONFIG!r}.")
    files: Dict[str, Blob] = {}
    for layer in manifest.layers:
        title = layer.annotations.get(media.TITLE, "")
        if title in files:
            raise LayoutError(f"The manifest names {title!r} more than once.")
        files[title] = layer.blob
    check_titles(list(files))
    return Manifest(chip, manifest.config.blob, files)


def parse(data: bytes, what: str, most: int = MAX_MANIFEST_BYTES) -> Dict[str, Any]:
    """Decode a JSON object of bounded size.

    Args:
        data: UTF-8 JSON.
        what: What it should be, for messages.
        most: The most bytes to accept.

    Raises:
        LayoutError: It is too large or no JSON object.
    """
    if len(data) > most:
        raise LayoutError(f"{what} of {len(data)} bytes is larger than the {most} that are accepted.")
    try:
        value = decoded(data)
    except ValueError as error:
        raise LayoutError(
            f"What should be {what} is no JSON ({error}): it was damaged, or is something else. Choose another "
            "name, or publish it again."
        ) from error
    if not isinstance(value, dict):
        raise LayoutError(f"What should be {what} is JSON, but not an object.")
    return value


def _validated(model: Any, value: Dict[str, Any]) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise LayoutError(f"A field is wrong: {problems(error)}.") from error


def _known_chip(chip: Optional[str]) -> str:
    if chip not in CHIPS:
        raise LayoutError(
            f"A manifest is for the chip {chip!r}; known are {', '.join(CHIPS)}. Choose another name, or update this "
            "program if the release is newer."
        )
    return str(chip)


def _check_files(record: ReleaseRecord, files: Mapping[str, Blob]) -> None:
    for item in record.variants:
        found = files.get(item.variant.path)
        if found != item.blob:
            raise LayoutError(
                f"The record says that {item.variant.path} is {item.blob.digest}, "
                + ("but that file was not given." if found is None else f"but the file given is {found.digest}.")
            )
    wanted = {item.variant.path for item in record.variants} | {RECORD_TITLE}
    for title, blob in files.items():
        if title.endswith(".bmodel") and title not in wanted:
            raise LayoutError(f"{title!r} is a bmodel that the record does not name.")
        if title.split("/")[0] in set(CHIPS) - set(record.chips):
            raise LayoutError(f"{title!r} belongs to a chip that the record has no variant for.")
        if title == RECORD_TITLE and blob.digest != digest_bytes(record.to_json()):
            raise LayoutError(f"{RECORD_TITLE!r} was given, but is not the record that is being published.")


def _manifest(chip: str, files: Mapping[str, Blob]) -> Dict[str, Any]:
    others: Tuple[str, ...] = tuple(name for name in CHIPS if name != chip)
    return {
        "schemaVersion": 2,
        "mediaType": media.MANIFEST,
        "artifactType": media.ARTIFACT_TYPE,
        "config": descriptor(media.RELEASE_CONFIG, files[RECORD_TITLE]),
        "layers": [
            {**descriptor(media.media_type_of(title), files[title]), "annotations": {media.TITLE: title}}
            for title in sorted(files)
            if title.split("/")[0] not in others
        ],
        "annotations": {media.CHIP: chip},
    }
