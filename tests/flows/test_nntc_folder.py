"""The folder of a build by tpu-nntc takes the place of an earlier one's, whole, and of nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.nntc_folder import EVIDENCE, check_folder, replaced
from settings.load import load_settings
from settings.model import Settings
from tasks.errors import FolderNotOurs
from tasks.workspace import Workspace

OURS = json.dumps({"published": False, "toolchain": {}, "models": []})


def settings_of(folder: Path, *overrides: str) -> Settings:
    own = [f"release.folder={folder}/release", f"release.repository={folder}/registry", f"store.path={folder}/store"]
    return load_settings("sample", overrides=[*own, *overrides], environ={})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


def write(folder: Path) -> None:
    (folder / EVIDENCE).write_text(OURS)
    (folder / "BM1684").mkdir()
    (folder / "BM1684" / "new.bmodel").write_bytes(b"new")


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("before", ["absent", "empty", "ours"])
def test_an_earlier_builds_or_an_empty_folder_is_replaced(tmp_path: Path, workspace: Workspace, before: str) -> None:
    folder = tmp_path / "nntc"
    if before != "absent":
        folder.mkdir()
    if before == "ours":
        (folder / EVIDENCE).write_text(OURS)
        (folder / "old.bmodel").write_bytes(b"old")
    assert replaced(settings_of(tmp_path), workspace, write) == folder
    assert left(folder) == ["BM1684/new.bmodel", EVIDENCE]
    assert [path.name for path in tmp_path.iterdir()] == ["nntc"]


def test_where_two_names_cannot_change_places_it_is_replaced_all_the_same(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("artifacts.swap.swap", lambda first, second: False)
    folder = tmp_path / "nntc"
    folder.mkdir()
    write(folder)
    (folder / "old.bmodel").write_bytes(b"old")
    replaced(settings_of(tmp_path), workspace, write)
    assert left(folder) == ["BM1684/new.bmodel", EVIDENCE]


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not JSON", '{"published": true, "toolchain": {}, "models": []}', None]
)
def test_what_no_such_build_left_is_not_touched(tmp_path: Path, workspace: Workspace, content: str | None) -> None:
    folder = tmp_path / "nntc"
    folder.mkdir()
    (folder / "envsetup.sh").write_text("the user's compiler")
    if content is not None:
        (folder / EVIDENCE).write_text(content)
    kept, settings = left(folder), settings_of(tmp_path)
    with pytest.raises(FolderNotOurs, match=r"no not-measured\.json of such a build.*release\.folder=FOLDER"):
        check_folder(settings, workspace)
    with pytest.raises(FolderNotOurs):
        replaced(settings, workspace, write)
    assert left(folder) == kept


def test_what_was_put_there_during_the_build_is_not_touched(tmp_path: Path, workspace: Workspace) -> None:
    folder = tmp_path / "nntc"

    def disturbed(new: Path) -> None:
        write(new)
        folder.mkdir()
        (folder / "mine").touch()

    with pytest.raises(FolderNotOurs, match="while this was built"):
        replaced(settings_of(tmp_path), workspace, disturbed)
    assert left(tmp_path) == ["nntc/mine"]


def test_a_failure_while_it_is_laid_out_leaves_the_earlier_one(tmp_path: Path, workspace: Workspace) -> None:
    folder = tmp_path / "nntc"
    folder.mkdir()
    (folder / EVIDENCE).write_text(OURS)

    def failing(new: Path) -> None:
        write(new)
        raise RuntimeError("a blob is damaged")

    with pytest.raises(RuntimeError):
        replaced(settings_of(tmp_path), workspace, failing)
    assert left(tmp_path) == [f"nntc/{EVIDENCE}"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_in_its_place_is_not_touched(tmp_path: Path, workspace: Workspace, kind: str) -> None:
    folder = tmp_path / "nntc"
    if kind == "file":
        folder.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderNotOurs, match="is no folder"):
        check_folder(settings_of(tmp_path), workspace)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("toolchain.nntc.folder={folder}/nntc", "toolchain.nntc.folder"),
        ("toolchain.nntc.folder={folder}/nntc/tpu-nntc_v3.1.7", "toolchain.nntc.folder"),
        ("toolchain.nntc.folder={folder}", "toolchain.nntc.folder"),
        ("toolchain.nntc.folder={folder}/link", "toolchain.nntc.folder"),
        ("release.repository={folder}/nntc", "release.repository"),
        ("release.folder={folder}/nntc", "release.folder"),
        ("store.path={folder}/nntc/store", "store.path"),
        ("exchange.folder={folder}/nntc", "exchange.folder"),
        (
            'weights={{record_first_use = true, mirrors = ["https://host/w.pth", "zip+{folder}/nntc/a.zip!/w.pth"]}}',
            "weights.mirrors",
        ),
        (
            'calibration.source={{kind = "folder", folders = ["{folder}/a", "{folder}/nntc/b"]}}',
            "calibration.source.folders",
        ),
        (
            'devices={{board = {{kind = "ssh", host = "b", key = "{folder}/nntc/key"}}}}',
            "devices.board.key",
        ),
    ],
)
def test_a_place_that_the_settings_name_is_not_taken(
    tmp_path: Path, workspace: Workspace, override: str, named: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nntc")
    settings = settings_of(tmp_path, override.format(folder=tmp_path))
    with pytest.raises(FolderNotOurs, match=f"but {named} is "):
        check_folder(settings, workspace)


def test_the_cache_is_not_taken(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(FolderNotOurs, match="the cache, CENTERNET_CACHE, is"):
        check_folder(settings_of(tmp_path, f"release.folder={tmp_path}/cache/release"), workspace)


def test_usual_settings_leave_the_folder_free(workspace: Workspace) -> None:
    for profile in ("sample", "coco"):
        assert check_folder(load_settings(profile, environ={}), workspace).parts[-2:] == ("build", "nntc")
