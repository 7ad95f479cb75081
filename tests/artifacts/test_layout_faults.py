from __future__ import annotations

import random
from pathlib import Path
from typing import Callable

import pytest

from artifacts import layout, layout_index
from artifacts.errors import (
    LayoutError,
    NoSpace,
)
from tests.artifacts.layouts import publish, tree
from tests.artifacts.processes import all_at_once, killed_after
from tests.artifacts.releases import release


def test_publishers_that_race_keep_all_their_tags(root: Path) -> None:
    versions = [f"1.{number}.0" for number in range(6)]
    prepared = [release(root.parent / "built", version) for version in versions]

    def publisher(number: int) -> Callable[[], object]:
        record, files = prepared[number]
        return lambda: layout.publish(root, record, files, [versions[number], "latest"])

    assert all_at_once([publisher(number) for number in range(6)]) == [0] * 6
    assert sorted(layout.tags(root)) == sorted([*versions, "latest"])
    assert layout.check(root) == []


def test_a_layout_that_another_publisher_makes_meanwhile_is_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout_index.make_layout(root)
    answers = iter([False])
    monkeypatch.setattr(layout_index, "says_so", lambda path: next(answers, True))
    layout_index.make_layout(root)
    assert layout.tags(root) == {}


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


def test_an_export_killed_at_any_moment_leaves_the_old_folder_or_the_new_one(root: Path, tmp_path: Path) -> None:
    chance = random.Random(3)
    publish(root, "1.0.0")
    publish(root, "1.1.0")
    folder = tmp_path / "out" / "release"
    whole = {version: tree(layout.export(root, version, tmp_path / version)) for version in ("1.0.0", "1.1.0")}

    def export_both() -> None:
        for version in ("1.0.0", "1.1.0") * 20:
            layout.export(root, version, folder, replace=True)

    killed = 0
    layout.export(root, "1.1.0", folder)
    for _ in range(12):
        killed += killed_after(chance.uniform(0, 0.05), export_both)
        assert tree(folder) in whole.values()
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
