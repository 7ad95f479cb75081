from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.errors import NoSpace
from tasks.bundle import pack as packing
from tasks.bundle.pack import listed
from tasks.errors import BundleNotMade
from tests.tasks.bundle.tars import bundle, manifest_of


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    first = bundle(tmp_path).read_bytes()
    assert bundle(tmp_path).read_bytes() == first


def test_a_disk_that_is_too_small_for_a_new_bundle_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(packing, "free_bytes", lambda folder: 1000)
    with pytest.raises(NoSpace):
        bundle(tmp_path)
    assert path.read_bytes() == before


def test_a_file_that_changes_while_it_is_packed_leaves_no_bundle(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"long")
    manifest = manifest_of(listed({"a": source}))
    source.write_bytes(b"longer")
    with pytest.raises(BundleNotMade, match="changed"):
        packing.pack(manifest, {"a": source}, tmp_path / "bundle.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_names_that_cannot_be_packed_are_told(tmp_path: Path) -> None:
    with pytest.raises(BundleNotMade, match="file and a folder"):
        listed({"a": tmp_path, "a/b": tmp_path})


def test_a_bundle_under_a_link_is_written_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    link, behind = tmp_path / "bundle.tar", tmp_path / "stick" / "b.tar"
    link.symlink_to(behind)
    bundle(tmp_path)
    assert link.is_symlink() and behind.is_file()
