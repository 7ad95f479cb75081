"""A release in a layout of its own, to travel; and whether a build made the same bmodels again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from artifacts.layout import retag, store_of
from artifacts.layout_index import make_layout
from artifacts.layout_tags import changes_for
from artifacts.oci import MAX_MANIFEST_BYTES, Built, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry, open_registry
from artifacts.release import MAX_RECORD_BYTES

TAG = "bundled"
EXPECTED = "expected.json"
_SUFFIX = ".bmodel"
_SCRATCH = ("index.json", "oci-layout")


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


def copy_release(reference: Reference, folder: Path) -> str:
    """Copy one release into a layout, from a layout or a server; every byte is hashed.

    Args:
        reference: Which.
        folder: The layout to make. It gets the tag `bundled`, and the reference's own where that is a tag.

    Returns:
        The release's digest.

    Raises:
        UnknownTag: There is no such release.
        RegistryError: It cannot be read.
        StoreError: Bytes are missing or damaged, or the folder cannot be written.
    """
    make_layout(folder)
    store = store_of(folder)
    with open_registry(reference) as registry:
        digest, index = registry.resolve(reference.name)
        manifests, record = {}, b""
        for child in read_index(index):
            manifests[child.chip] = registry.read(child.blob, MAX_MANIFEST_BYTES)
            manifest = read_manifest(manifests[child.chip], child.chip)
            record = registry.read(manifest.record, MAX_RECORD_BYTES)
            for blob in manifest.files.values():
                registry.fetch(blob, store)
    built = Built(index, manifests, record)
    for data in (record, *manifests.values(), index):
        store.put_bytes(data)
    store.settle()
    retag(folder, changes_for(built, [TAG] if reference.by_digest else [TAG, reference.name]))
    return digest


def layout_files(folder: Path) -> dict[str, Path]:
    """Return what of a layout makes it one: its two files and the blobs, by name below it."""
    blobs = sorted(path for path in (folder / "blobs").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in [*(folder / name for name in _SCRATCH), *blobs]}


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
    """Read what `expected_text` wrote and a bundle brought."""
    return {str(name): str(digest) for name, digest in json.loads(path.read_text()).items()}


def _bmodels(registry: Registry, index: bytes) -> dict[str, str]:
    found = {}
    for child in read_index(index):
        manifest = read_manifest(registry.read(child.blob, MAX_MANIFEST_BYTES), child.chip)
        found.update({name: blob.digest for name, blob in manifest.files.items() if name.endswith(_SUFFIX)})
    return found
