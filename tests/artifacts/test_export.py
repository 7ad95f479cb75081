from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.errors import (
    DamagedBlob,
    LayoutError,
    MissingBlob,
)
from artifacts.release import ReleaseRecord
from tests.artifacts.damage import damage
from tests.artifacts.layouts import blob_path, publish, state, tree
from tests.artifacts.releases import SHARED, VARIANTS, model_bytes


def test_an_exported_folder_is_what_the_vendors_samples_expect(root: Path, tmp_path: Path) -> None:
    publish(root)
    folder = layout.export(root, "1.0.0", tmp_path / "out" / "release")
    wanted = {variant.path: model_bytes(variant, "1.0.0") for variant in VARIANTS}
    found = tree(folder)
    record = ReleaseRecord.from_json(found.pop("release.json"))
    assert found == {**wanted, **SHARED}
    assert record.version == "1.0.0"
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["release"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in folder.rglob("*") if path.is_file())
    (folder / VARIANTS[0].path).write_bytes(b"edited by its owner")
    assert layout.check(root) == []


@pytest.mark.parametrize("ref", ["1.0.0", "1.0.0-bm1684x"])
def test_one_chip_can_be_exported_alone(root: Path, tmp_path: Path, ref: str) -> None:
    publish(root)
    chips = ["BM1684X"] if ref == "1.0.0" else None
    folder = layout.export(root, ref, tmp_path / "release", chips)
    assert {title.split("/")[0] for title in tree(folder) if title.endswith(".bmodel")} == {"BM1684X"}
    assert "release.json" in tree(folder)


def test_a_chip_that_the_release_lacks_is_refused(root: Path, tmp_path: Path) -> None:
    publish(root, variants=[variant for variant in VARIANTS if variant.chip == "BM1684X"])
    for chips in (["BM1688"], ["BM1684X", "BM1688"], []):
        with pytest.raises(LayoutError):
            layout.export(root, "1.0.0", tmp_path / "release", chips)
    assert not (tmp_path / "release").exists()


def test_exporting_the_same_again_writes_nothing(root: Path, tmp_path: Path) -> None:
    publish(root)
    layout.export(root, "1.0.0", tmp_path / "release")
    before = state(tmp_path / "release")
    layout.export(root, "1.0.0", tmp_path / "release")
    assert state(tmp_path / "release") == before


def test_a_folder_with_something_else_is_replaced_only_when_asked_and_only_when_it_is_a_release(
    root: Path, tmp_path: Path
) -> None:
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    folder = layout.export(root, "1.0.0", tmp_path / "release")
    old = tree(folder)
    with pytest.raises(LayoutError, match="holds something else"):
        layout.export(root, "1.1.0", folder)
    assert tree(folder) == old
    layout.export(root, "1.1.0", folder, replace=True)
    assert ReleaseRecord.from_json((folder / "release.json").read_bytes()).version == "1.1.0"
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("mine")
    with pytest.raises(LayoutError, match="holds something else"):
        layout.export(root, "1.1.0", home, replace=True)
    assert tree(home) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("what", ["model", "manifest", "record"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_damaged_or_missing_bytes_are_never_exported(root: Path, tmp_path: Path, what: str, how: str) -> None:
    publish(root)
    manifest = json.loads(layout.resolve(root, "1.0.0-bm1684x")[1])
    digest = {
        "model": digest_bytes(model_bytes(VARIANTS[1], "1.0.0")),
        "manifest": layout.resolve(root, "1.0.0-bm1684x")[0],
        "record": manifest["config"]["digest"],
    }[what]
    damage(blob_path(root, digest)) if how == "damaged" else blob_path(root, digest).unlink()
    with pytest.raises(DamagedBlob if how == "damaged" else MissingBlob, match="publish the release again"):
        layout.export(root, "1.0.0", tmp_path / "out" / "release")
    assert list((tmp_path / "out").rglob("*")) == []
    assert any(how in problem.reason or "no sha256" in problem.reason for problem in layout.check(root))


def test_a_folder_is_replaced_where_two_names_cannot_change_places(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    layout.export(root, "1.0.0", tmp_path / "release")
    monkeypatch.setattr("artifacts.swap.swap", lambda new, folder: False)
    folder = layout.export(root, "1.1.0", tmp_path / "release", replace=True)
    assert ReleaseRecord.from_json((folder / "release.json").read_bytes()).version == "1.1.0"
    assert not list(tmp_path.glob(".centernet*"))
