from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest

from artifacts import layout
from artifacts.errors import DamagedBlob, LayoutError, MissingBlob, UnknownTag
from artifacts.export import ReleaseFiles, materialise
from artifacts.oci import MAX_MANIFEST_BYTES, read_index, read_manifest
from artifacts.reference import parse_reference
from artifacts.registry import LayoutRegistry, open_registry
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.store import Blob, ContentStore
from tests.artifacts.damage import damage
from tests.artifacts.releases import SHARED, VARIANTS, blob_of, model_bytes, release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record, files = release(tmp_path / "built")
    layout.publish(tmp_path / "registry", record, files, ["1.0.0", "latest"])
    return tmp_path / "registry"


MODEL = blob_of(model_bytes(VARIANTS[0], "1.0.0"))


def test_a_reference_opens_the_registry_that_it_leads_to(root: Path) -> None:
    with open_registry(parse_reference(f"oci:{root}")) as registry:
        assert isinstance(registry, LayoutRegistry)
    with open_registry(parse_reference("localhost:1/m"), access=Access()) as registry:
        assert isinstance(registry, RemoteRegistry)


def test_a_release_goes_from_a_layout_into_a_store_and_out_as_a_folder(root: Path, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    with open_registry(parse_reference(f"oci:{root}:1.0.0")) as registry:
        children = read_index(registry.resolve("1.0.0")[1])
        files = ReleaseFiles.of(
            [read_manifest(registry.read(child.blob, MAX_MANIFEST_BYTES), child.chip) for child in children]
        )
        for blob in files.blobs.values():
            registry.fetch(blob, store)
    folder = materialise(files, store, tmp_path / "folder", replace=False)
    expected = layout.export(root, "1.0.0", tmp_path / "expected")
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == sorted(
        path.relative_to(expected) for path in expected.rglob("*")
    )


def test_a_layout_tells_its_tags_and_whether_they_moved(root: Path, tmp_path: Path) -> None:
    registry = LayoutRegistry(root)
    assert registry.tags() == ("1.0.0", "latest")
    digest, _ = registry.resolve("latest")
    assert not registry.has_moved("latest", digest)
    record, files = release(tmp_path / "built", "1.1.0")
    layout.publish(root, record, files, ["1.1.0", "latest"])
    assert registry.has_moved("latest", digest)
    assert not registry.has_moved("1.0.0", digest)
    with pytest.raises(UnknownTag):
        registry.has_moved("gone", digest)


def test_progress_ends_at_the_size(root: Path, tmp_path: Path) -> None:
    seen: List[int] = []
    for _ in range(2):
        LayoutRegistry(root).fetch(MODEL, ContentStore(tmp_path / "store"), seen.append)
    assert seen == [MODEL.size, MODEL.size]


def test_damaged_bytes_of_a_layout_are_not_copied(root: Path, tmp_path: Path) -> None:
    path = root / "blobs" / "sha256" / MODEL.digest[7:]
    damage(path, b"x" * MODEL.size)
    store = ContentStore(tmp_path / "store")
    publisher = f"whoever publishes to {re.escape(str(root))} has to publish the release again"
    with pytest.raises(DamagedBlob, match=publisher) as caught:
        LayoutRegistry(root).fetch(MODEL, store)
    assert caught.value.path == path
    assert f"They lie in {path}" in str(caught.value)
    with pytest.raises(DamagedBlob, match=publisher):
        LayoutRegistry(root).read(MODEL, MODEL.size)
    assert store.verify_all() == []
    assert not (store.root / "blobs").exists()
    assert store.sweep() == []
    path.unlink()
    with pytest.raises(MissingBlob, match=publisher):
        LayoutRegistry(root).fetch(MODEL, store)


def test_a_file_that_grew_in_the_layout_does_not_fill_the_devices_disk(root: Path, small_disk: Path) -> None:
    damage(root / "blobs" / "sha256" / MODEL.digest[7:], bytes(2 << 20))
    with pytest.raises(DamagedBlob, match=rf"it has {2 << 20} bytes instead of {MODEL.size}"):
        LayoutRegistry(root).fetch(MODEL, ContentStore(small_disk / "store"))
    assert list(small_disk.iterdir()) == []


def test_what_is_in_the_store_is_not_looked_for_in_the_layout(root: Path, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    path = LayoutRegistry(root).fetch(MODEL, store)
    (root / "blobs" / "sha256" / MODEL.digest[7:]).unlink()
    assert LayoutRegistry(root).fetch(MODEL, store) == path


def test_a_damaged_copy_in_the_store_is_replaced(root: Path, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    path = LayoutRegistry(root).fetch(MODEL, store)
    damage(path, b"")
    assert LayoutRegistry(root).fetch(MODEL, store).stat().st_size == MODEL.size
    assert store.is_sound(MODEL)


def test_reading_is_bounded_by_the_limit_and_by_the_size(root: Path) -> None:
    blob = blob_of(SHARED["sheet.png"])
    registry = LayoutRegistry(root)
    assert registry.read(blob, blob.size) == SHARED["sheet.png"]
    with pytest.raises(LayoutError, match="more than the"):
        registry.read(blob, blob.size - 1)
    with pytest.raises(DamagedBlob):
        registry.read(Blob(digest=blob.digest, size=blob.size - 1), 1 << 20)
