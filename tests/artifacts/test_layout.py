from __future__ import annotations

import json
import random
import stat
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    ArtifactError,
    BadDigest,
    DamagedBlob,
    LayoutError,
    MissingBlob,
    NewerSchema,
    NoSpace,
    TagExists,
    UnknownTag,
)
from artifacts.release import ReleaseRecord
from artifacts.store import Blob, ContentStore
from tests.artifacts.processes import all_at_once, killed_after
from tests.artifacts.releases import SHARED, VARIANTS, model_bytes, release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry" / "centernet"


def publish(root: Path, version: str = "1.0.0", *tags: str, variants: Any = VARIANTS) -> layout.Published:
    record, files = release(root.parent / "built", version, variants)
    return layout.publish(root, record, files, tags or (version,))


def state(root: Path) -> Dict[str, Tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")}


def tree(folder: Path) -> Dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def blob_path(root: Path, digest: str) -> Path:
    return root / "blobs" / "sha256" / digest[7:]


def damage(root: Path, digest: str, data: bytes = b"damaged") -> None:
    blob_path(root, digest).chmod(0o644)
    blob_path(root, digest).write_bytes(data)


def test_a_published_release_is_found_by_tag_and_by_digest(root: Path) -> None:
    published = publish(root, "1.0.0", "1.0.0", "latest")
    assert published.changed
    assert published.tags == ("1.0.0", "latest")
    digest, data = layout.resolve(root, "1.0.0")
    assert digest == published.digest == digest_bytes(data)
    assert layout.resolve(root, "latest") == layout.resolve(root, digest) == (digest, data)
    assert layout.tags(root) == {"1.0.0": digest, "latest": digest}
    assert layout.check(root) == []


def test_the_folder_is_an_oci_image_layout(root: Path) -> None:
    digest = publish(root).digest
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((root / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    named = {entry["annotations"][media.TAG]: entry for entry in index["manifests"]}
    assert sorted(named) == ["1.0.0", "1.0.0-bm1684", "1.0.0-bm1684x", "1.0.0-bm1688"]
    assert named["1.0.0"]["digest"] == digest
    for entry in named.values():
        assert blob_path(root, entry["digest"]).stat().st_size == entry["size"]
        assert set(entry) == {"mediaType", "digest", "size", "annotations"}


def test_publishing_the_same_again_writes_nothing(root: Path) -> None:
    first = publish(root, "1.0.0", "1.0.0", "stable")
    before = state(root)
    again = publish(root, "1.0.0", "1.0.0", "stable")
    assert not again.changed
    assert again.digest == first.digest
    assert state(root) == before


def test_publishing_the_same_again_mends_what_was_damaged_or_lost(root: Path) -> None:
    digest = publish(root).digest
    children = json.loads(layout.resolve(root, "1.0.0")[1])["manifests"]
    damage(root, digest_bytes(SHARED["sheet.png"]))
    blob_path(root, children[0]["digest"]).unlink()
    assert len(layout.check(root)) >= 2
    assert publish(root).changed
    assert layout.check(root) == []
    assert layout.resolve(root, "1.0.0")[0] == digest


def test_a_version_never_moves_and_nothing_is_written_when_it_would(root: Path) -> None:
    first = publish(root, "1.0.0")
    before = state(root)
    with pytest.raises(TagExists) as caught:
        publish(root, "2.0.0", "2.0.0", "1.0.0")
    assert (caught.value.tag, caught.value.existing) == ("1.0.0", first.digest)
    assert state(root) == before
    assert layout.tags(root) == {"1.0.0": first.digest}


def test_a_channel_moves_and_the_versions_stay(root: Path) -> None:
    old = publish(root, "1.0.0", "1.0.0", "stable")
    new = publish(root, "1.1.0", "1.1.0", "stable")
    assert layout.tags(root) == {"1.0.0": old.digest, "1.1.0": new.digest, "stable": new.digest}
    back = publish(root, "1.0.0", "stable")
    assert back.changed
    assert layout.tags(root)["stable"] == old.digest


def test_a_channel_that_moves_to_fewer_chips_keeps_no_file_of_the_old_release(root: Path, tmp_path: Path) -> None:
    publish(root, "1.0.0", "1.0.0", "stable")
    publish(root, "1.1.0", "1.1.0", "stable", variants=[v for v in VARIANTS if v.chip == "BM1684X"])
    with pytest.raises(UnknownTag):
        layout.resolve(root, "stable-bm1688")
    assert layout.resolve(root, "1.0.0-bm1688")
    assert layout.resolve(root, "stable-bm1684x") == layout.resolve(root, "1.1.0-bm1684x")


def test_entries_of_other_tools_are_kept(root: Path) -> None:
    publish(root, "1.0.0")
    index = json.loads((root / "index.json").read_bytes())
    index["annotations"] = {"com.example.note": "ours"}
    others: List[Dict[str, Any]] = [
        {"mediaType": "application/vnd.example", "digest": "sha256:" + "0" * 64, "size": 1},
        {"mediaType": "application/vnd.example", "digest": "md5:1", "size": 1, "annotations": {media.TAG: "x"}},
        {"mediaType": "application/vnd.example", "annotations": None},
    ]
    index["manifests"] = others + index["manifests"]
    (root / "index.json").write_text(json.dumps(index))
    publish(root, "1.1.0")
    after = json.loads((root / "index.json").read_bytes())
    assert after["manifests"][:3] == others
    assert after["annotations"] == {"com.example.note": "ours"}
    assert sorted(layout.tags(root)) == ["1.0.0", "1.1.0"]
    assert layout.check(root) == []


@pytest.mark.parametrize("tags", [(), ("a b",), ("1.0.0-bm1684x",), ("x" * 125,), ("v1", "")])
def test_tags_that_cannot_be_are_refused_before_anything_is_written(root: Path, tags: Tuple[str, ...]) -> None:
    record, files = release(root.parent / "built")
    with pytest.raises(LayoutError):
        layout.publish(root, record, files, tags)
    assert not root.exists()


def test_a_folder_that_holds_something_else_is_not_taken_over(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "thesis.txt").write_text("mine")
    with pytest.raises(LayoutError, match=r"holds 'thesis\.txt'"):
        publish(root)
    assert [entry.name for entry in root.iterdir()] == ["thesis.txt"]


def test_a_file_that_is_not_what_the_record_says_is_not_published(root: Path) -> None:
    record, files = release(root.parent / "built")
    files[VARIANTS[0].path].write_bytes(b"other bytes")
    with pytest.raises(LayoutError, match="but the file given is"):
        layout.publish(root, record, files, ["1.0.0"])
    assert not root.exists()


@pytest.mark.parametrize(
    ("ref", "error"),
    [("2.0.0", UnknownTag), ("sha256:" + "0" * 64, UnknownTag), ("sha256:../../x", BadDigest), ("", UnknownTag)],
)
def test_an_unknown_name_is_refused_with_what_there_is(root: Path, ref: str, error: Any) -> None:
    publish(root)
    with pytest.raises(error) as caught:
        layout.resolve(root, ref)
    if error is UnknownTag:
        assert caught.value.known == ("1.0.0",)


def test_a_tag_that_names_two_things_is_refused(root: Path) -> None:
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    index = json.loads((root / "index.json").read_bytes())
    for entry in index["manifests"]:
        if entry["mediaType"] == media.INDEX:
            entry["annotations"][media.TAG] = "1.0.0"
    (root / "index.json").write_text(json.dumps(index))
    with pytest.raises(LayoutError, match="which one is meant"):
        layout.resolve(root, "1.0.0")
    assert "which one is meant" in layout.check(root)[0].reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.json", b""),
        ("index.json", b'{"manifests":3}'),
        ("index.json", b'{"manifests":[1]}'),
        ("index.json", b" " * (5 << 20)),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'),
        ("oci-layout", b"{"),
    ],
)
def test_a_damaged_layout_is_told_as_such_and_left_alone(root: Path, name: str, content: bytes) -> None:
    publish(root)
    (root / name).write_bytes(content)
    for action in (layout.tags, lambda root: layout.resolve(root, "1.0.0"), publish):
        with pytest.raises(LayoutError):
            action(root)
    assert layout.check(root)
    assert (root / name).read_bytes() == content


def test_a_place_without_a_layout_is_told_as_such(root: Path) -> None:
    for action in (layout.tags, lambda root: layout.resolve(root, "1.0.0")):
        with pytest.raises(LayoutError, match="no registry layout"):
            action(root)
    assert len(layout.check(root)) == 1
    assert not root.exists()


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
    damage(root, digest) if how == "damaged" else blob_path(root, digest).unlink()
    with pytest.raises(DamagedBlob if how == "damaged" else MissingBlob):
        layout.export(root, "1.0.0", tmp_path / "out" / "release")
    assert list((tmp_path / "out").rglob("*")) == []
    assert any(how in problem.reason or "no sha256" in problem.reason for problem in layout.check(root))


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


def test_publishers_that_race_keep_all_their_tags(root: Path) -> None:
    versions = [f"1.{number}.0" for number in range(6)]
    prepared = [release(root.parent / "built", version) for version in versions]

    def publisher(number: int) -> Callable[[], object]:
        record, files = prepared[number]
        return lambda: layout.publish(root, record, files, [versions[number], "latest"])

    assert all_at_once([publisher(number) for number in range(6)]) == [0] * 6
    assert sorted(layout.tags(root)) == sorted([*versions, "latest"])
    assert layout.check(root) == []


def test_a_publisher_killed_at_any_moment_leaves_a_sound_layout(root: Path) -> None:
    chance = random.Random(2)
    prepared = {f"1.{number}.0": release(root.parent / "built", f"1.{number}.0") for number in range(12)}

    def publish_all() -> None:
        for version, (record, files) in prepared.items():
            layout.publish(root, record, files, [version, "latest"])

    killed = 0
    for _ in range(12):
        killed += killed_after(chance.uniform(0, 0.06), publish_all)
        if (root / "oci-layout").exists():
            assert layout.check(root) == []
    assert killed > 3
    publish_all()
    assert len(layout.tags(root)) == 13
    assert layout.check(root) == []


def test_an_export_killed_at_any_moment_leaves_all_or_nothing(root: Path, tmp_path: Path) -> None:
    chance = random.Random(3)
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    folder = tmp_path / "out" / "release"
    whole = {version: tree(layout.export(root, version, tmp_path / version)) for version in ("1.0.0", "1.1.0")}

    def export_both() -> None:
        for version in ("1.0.0", "1.1.0") * 20:
            layout.export(root, version, folder, replace=True)

    killed = 0
    for _ in range(12):
        killed += killed_after(chance.uniform(0, 0.05), export_both)
        assert not folder.exists() or tree(folder) in whole.values()
    assert killed > 3
    layout.export(root, "1.0.0", folder, replace=True)
    assert tree(folder) == whole["1.0.0"]
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["release"]


def test_exports_that_race_for_one_folder_leave_one_whole_release(root: Path, tmp_path: Path) -> None:
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    folder = tmp_path / "out" / "release"
    whole = [tree(layout.export(root, version, tmp_path / version)) for version in ("1.0.0", "1.1.0")]

    def export(version: str, place: Path) -> Callable[[], object]:
        def run() -> None:
            for _ in range(10):
                try:
                    layout.export(root, version, place, replace=True)
                except LayoutError as error:
                    assert "changed while" in str(error) or "something else" in str(error)

        return run

    actions = [export(version, folder) for version in ("1.0.0", "1.1.0") * 2]
    assert all_at_once([*actions, export("1.0.0", tmp_path / "out" / "other")]) == [0] * 5
    assert tree(folder) in whole
    assert tree(tmp_path / "out" / "other") == whole[0]
    layout.export(root, "1.0.0", folder, replace=True)
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["other", "release"]


def test_a_full_disk_leaves_the_tags_and_the_folder_as_they_were(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "centernet"
    first = publish(root, "1.0.0")
    record, files = release(tmp_path, "1.1.0")
    files["large.bin"] = tmp_path / "large.bin"
    files["large.bin"].write_bytes(bytes(2 << 20))
    with pytest.raises(NoSpace):
        layout.publish(root, record, files, ["1.1.0", "latest"])
    assert layout.tags(root) == {"1.0.0": first.digest}
    assert layout.check(root) == []
    other = tmp_path / "registry"
    layout.publish(other, record, files, ["1.1.0"])
    with pytest.raises(NoSpace):
        layout.export(other, "1.1.0", small_disk / "release")
    assert not (small_disk / "release").exists()
    assert not any(path.name.startswith(".centernet") for path in small_disk.iterdir())


def test_a_blob_that_nothing_names_is_checked_too(root: Path) -> None:
    publish(root)
    blob: Blob = ContentStore(root).put_bytes(b"left over from a publish that was killed")
    assert layout.check(root) == []
    damage(root, blob.digest)
    assert [problem.path for problem in layout.check(root)] == [blob_path(root, blob.digest)]
