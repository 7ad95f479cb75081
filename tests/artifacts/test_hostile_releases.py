from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    ArtifactError,
    DamagedBlob,
    LayoutError,
    NewerSchema,
)
from artifacts.release import ReleaseRecord
from artifacts.store import ContentStore
from tests.artifacts.layouts import blob_path, publish
from tests.artifacts.releases import SHARED, VARIANTS


def hostile(root: Path, chip: str, edit: Callable[[Dict[str, Any]], Any]) -> str:
    """Publish a release whose manifest for one chip was edited; return its digest."""
    publish(root)
    store = ContentStore(root)
    index = json.loads(layout.resolve(root, "1.0.0")[1])
    for entry in index["manifests"]:
        if entry["annotations"][media.CHIP] == chip:
            manifest = json.loads(blob_path(root, entry["digest"]).read_bytes())
            edit(manifest)
            entry.update(store.put_bytes(json.dumps(manifest).encode()).model_dump())
    return store.put_bytes(json.dumps(index).encode()).digest


def set_title(title: str) -> Callable[[Dict[str, Any]], Any]:
    return lambda manifest: manifest["layers"][-1]["annotations"].update({media.TITLE: title})


def set_blob(position: int, data: bytes) -> Callable[[Dict[str, Any]], Any]:
    def edit(manifest: Dict[str, Any]) -> None:
        manifest["layers"][position].update(digest=digest_bytes(data), size=len(data))

    return edit


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (set_title("../../evil"), LayoutError),
        (set_title("/tmp/evil"), LayoutError),
        (set_title("BM1684X"), LayoutError),
        (set_title("BM1688"), LayoutError),
        (set_title("BM1684X/extra.bmodel"), LayoutError),
        (set_blob(0, SHARED["sheet.png"]), LayoutError),
        (set_blob(-1, b'{"images":[]}'), LayoutError),
        (lambda manifest: manifest["layers"].pop(0), LayoutError),
        (lambda manifest: manifest["layers"][-1].update(size=7), LayoutError),
        (lambda manifest: manifest.update(layers=[]), LayoutError),
        (lambda manifest: manifest["config"].update(digest=digest_bytes(SHARED["sheet.png"])), ArtifactError),
    ],
)
def test_a_hostile_release_writes_nothing(
    root: Path, tmp_path: Path, edit: Callable[[Dict[str, Any]], Any], error: Any
) -> None:
    digest = hostile(root, "BM1684X", edit)
    before = {path for path in tmp_path.rglob("*") if root not in path.parents}
    with pytest.raises(error):
        layout.export(root, digest, tmp_path / "out")
    assert {path for path in tmp_path.rglob("*") if root not in path.parents} == before


def test_a_record_file_that_is_not_the_record_is_refused(root: Path, tmp_path: Path) -> None:
    def edit(manifest: Dict[str, Any]) -> None:
        [layer] = [x for x in manifest["layers"] if x["annotations"][media.TITLE] == "release.json"]
        layer.update(digest=digest_bytes(SHARED["sheet.png"]), size=len(SHARED["sheet.png"]))

    digest = hostile(root, "BM1684X", edit)
    with pytest.raises(LayoutError, match="is not its record"):
        layout.export(root, digest, tmp_path / "out", ["BM1684X"])


def test_a_release_whose_record_is_only_its_config_has_the_record_in_its_folder(root: Path, tmp_path: Path) -> None:
    def edit(manifest: Dict[str, Any]) -> None:
        manifest["layers"] = [x for x in manifest["layers"] if x["annotations"][media.TITLE] != "release.json"]

    digest = hostile(root, "BM1684X", edit)
    folder = layout.export(root, digest, tmp_path / "out", ["BM1684X"])
    assert ReleaseRecord.from_json((folder / "release.json").read_bytes()).version == "1.0.0"


def test_a_size_that_lies_is_noticed(root: Path, tmp_path: Path) -> None:
    only = [variant for variant in VARIANTS if variant.chip == "BM1684X"]
    publish(root, "1.0.0", variants=only)
    store = ContentStore(root)
    manifest = json.loads(layout.resolve(root, "1.0.0-bm1684x")[1])
    manifest["layers"][-1]["size"] += 1
    blob = store.put_bytes(json.dumps(manifest).encode())
    with pytest.raises(DamagedBlob):
        layout.export(root, blob.digest, tmp_path / "out")


def test_a_release_of_a_newer_generation_is_refused(root: Path, tmp_path: Path) -> None:
    publish(root)
    store = ContentStore(root)
    record = store.put_bytes(b'{"schema_version":"2.0"}')

    def edit(manifest: Dict[str, Any]) -> None:
        manifest["config"].update(record.model_dump())
        manifest["layers"] = [x for x in manifest["layers"] if x["annotations"][media.TITLE] != "release.json"]

    digest = hostile(root, "BM1684X", edit)
    with pytest.raises(NewerSchema):
        layout.export(root, digest, tmp_path / "out", ["BM1684X"])
