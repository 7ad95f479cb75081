"""A release in a layout of its own, to travel; and whether a build made the same bmodels again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from artifacts.attachments import LayoutPlace, read_envelope
from artifacts.bounded import read_bounded
from artifacts.digest import check_digest
from artifacts.layout import retag, store_of
from artifacts.layout_index import make_layout
from artifacts.layout_tags import changes_for, signature_tag
from artifacts.oci import MAX_MANIFEST_BYTES, Built, check_title, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry, open_registry
from artifacts.release import PreprocessSpec, ReleaseRecord
from artifacts.strict_json import decoded
from settings.model import Settings
from settings.sections import PreprocessSettings
from tasks.errors import BundleRefused
from tasks.release_record import network_text
from tasks.signing import Subject, subject_at

EXPECTED = "expected.json"
MAX_EXPECTED_BYTES = 1 << 20
_LONGEST = 200
_SUFFIX = ".bmodel"
_OWN = ("index.json", "oci-layout")


class Comparison(NamedTuple):
    """A build against the release that its bundle was made beside.

    Attributes:
        same: Bmodels that have the same bytes.
        different: Those that have others.
        missing: Those that were not built here.
    """

    same: tuple[str, ...]
    different: tuple[str, ...]
    missing: tuple[str, ...]


def copy_release(reference: Reference, folder: Path) -> Subject:
    """Copy one release with its signature into a layout, from a layout or a server; every byte is hashed.

    Args:
        reference: Which.
        folder: Where the layout is made: under the name of the release, which is what signatures name, and with its
            version as the only tag.

    Returns:
        The release.

    Raises:
        UnknownTag: There is no such release.
        RegistryError: It cannot be read.
        ReleaseError: Its record cannot be used.
        StoreError: Bytes are missing or damaged, or the folder cannot be written.
    """
    with open_registry(reference) as registry:
        subject = subject_at(registry, reference.name)
        root = folder / check_title(subject.record.name)
        make_layout(root)
        store = store_of(root)
        manifests = [read_manifest(data, chip) for chip, data in subject.manifests.items()]
        for blob in {blob for one in manifests for blob in (one.record, *one.files.values())}:
            registry.fetch(blob, store)
        signature = read_envelope(registry, signature_tag(subject.digest))
    for data in (*subject.manifests.values(), subject.index_json):
        store.put_bytes(data)
    store.settle()
    built = Built(subject.index_json, dict(subject.manifests), b"")
    retag(root, changes_for(built, [subject.record.version]))
    if signature is not None:
        LayoutPlace(root).write(signature_tag(subject.digest), signature)
    return subject


def differences(record: ReleaseRecord, settings: Settings) -> list[str]:
    """Say in what a release cannot come of some settings: several profiles publish under one name.

    Args:
        record: The release's.
        settings: The profile's.

    Returns:
        Each as words; empty where nothing speaks against it.
    """
    facts = [
        ("network", record.network, network_text(settings)),
        ("input", _size(record.preprocess), _size(settings.preprocess)),
        ("kind", _kind(record.demonstration), _kind(settings.demonstration)),
    ]
    return [f"its {what} is {found} and not {wanted}" for what, found, wanted in facts if found != wanted]


def layout_files(folder: Path) -> dict[str, Path]:
    """Return what of the layouts below a folder makes them such: two files and the blobs, by name below it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path for name, path in names.items() if path.name in _OWN or "/blobs/sha256/" in name}


def expected_of(reference: Reference) -> dict[str, str]:
    """Return path to digest of a release's bmodels.

    Raises:
        UnknownTag: There is no such release.
        RegistryError: It cannot be read.
    """
    with open_registry(reference) as registry:
        _, index = registry.resolve(reference.name)
        return dict(sorted(_bmodels(registry, index).items()))


def expected_text(reference: Reference) -> str:
    """Return what `expected_of` gives as a bundle carries it; raises the same."""
    return json.dumps(expected_of(reference), indent=1) + "\n"


def compare(expected: Mapping[str, str], built: Mapping[str, str]) -> Comparison:
    """Compare bmodels by digest.

    Args:
        expected: Path to digest, as `expected_of` gives it.
        built: The same of what was built here.
    """
    return Comparison(
        same=tuple(path for path in expected if built.get(path) == expected[path]),
        different=tuple(path for path in expected if path in built and built[path] != expected[path]),
        missing=tuple(path for path in expected if path not in built),
    )


def told(found: Comparison) -> str:
    """Say in one paragraph what a comparison found."""
    total = sum(map(len, found))
    lines = [f"{len(found.same)} of {total} bmodels have the very bytes of the release that the bundle was made beside"]
    lines += [f"  other bytes: {path}" for path in found.different] + [
        f"  not built here: {path}" for path in found.missing
    ]
    return "\n".join(lines)


def read_expected(path: Path) -> dict[str, str]:
    """Read what `expected_text` wrote and a bundle brought.

    Args:
        path: The file.

    Returns:
        Path to digest.

    Raises:
        BundleRefused: It is not there, or holds something else.
    """
    try:
        found = decoded(read_bounded(path, MAX_EXPECTED_BYTES))
        if not isinstance(found, dict) or not found:
            raise ValueError("it is no list of bmodels")
        return {_checked(name): check_digest(digest) for name, digest in found.items()}
    except OSError as error:
        raise BundleRefused(path, [error.strerror or "it cannot be read"]) from error
    except ValueError as error:
        raise BundleRefused(path, [f"it does not say which bmodels are expected: {error}"]) from error


def _size(preprocess: PreprocessSpec | PreprocessSettings) -> str:
    return f"{preprocess.width} x {preprocess.height}"


def _kind(demonstration: bool) -> str:
    return "a demonstration" if demonstration else "a model for use"


def _checked(name: str) -> str:
    # It is printed where it differs.
    if not name.isprintable() or len(name) > _LONGEST:
        raise ValueError(f"{ascii(name)[:_LONGEST]} is no name of a bmodel")
    return name


def _bmodels(registry: Registry, index: bytes) -> dict[str, str]:
    found = {}
    for child in read_index(index):
        manifest = read_manifest(registry.read(child.blob, MAX_MANIFEST_BYTES), child.chip)
        found.update({name: blob.digest for name, blob in manifest.files.items() if name.endswith(_SUFFIX)})
    return found
