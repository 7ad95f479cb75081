from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from settings.load import known_profiles, load_settings
from settings.locations import PROJECT
from settings.model import Settings
from settings.toml_text import format_value
from tasks.bundle import inputs as inputs_module
from tasks.bundle.inputs import PROFILE, WEIGHTS, Inputs, check_carried, inputs_of
from tasks.errors import BundleNotMade, SourceUnavailable
from tasks.gather import collect_folders, download_coco, first_images
from tasks.records import ImageSet
from tasks.source_files import obtain
from tasks.workspace import Workspace


def workspace_in(folder: Path) -> Workspace:
    return Workspace(store=str(folder / "store"), cache=str(folder / "cache"))


def carried(inputs: Inputs, folder: Path) -> Settings:
    """The settings on the other machine."""
    for name, path in inputs.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROFILE).write_text(inputs.profile)
    return load_settings(folder / PROFILE, environ={})


def test_the_sample_needs_nothing_and_says_so(tmp_path: Path) -> None:
    inputs = inputs_of(load_settings("sample", environ={}), "sample", workspace_in(tmp_path))
    assert inputs.files == {}
    assert carried(inputs, tmp_path).weights == load_settings("sample", environ={}).weights


def test_the_other_machine_gets_the_very_weights_and_images_and_asks_no_address(site: Path, tmp_path: Path) -> None:
    here, other = workspace_in(tmp_path / "here"), tmp_path / "other"
    settings = load_settings(site / "own.toml", environ={})
    inputs = inputs_of(settings, str(site / "own.toml"), here)
    wanted = settings.evaluation.source, settings.calibration.source
    assert wanted[0].kind == "coco" and wanted[1].kind == "folder"
    evaluation = download_coco.fn(wanted[0], settings.evaluation.limit, "evaluation", 0, here)
    calibration = collect_folders.fn(wanted[1], "calibration", here)
    shutil.rmtree(site)

    there, workspace = carried(inputs, other), workspace_in(other)
    assert obtain(there.weights, workspace).read_bytes() == b"weights"
    assert there.weights.digest is not None and not there.weights.record_first_use
    found = there.evaluation.source, there.calibration.source
    assert found[0].kind == found[1].kind == "folder"
    images = first_images(collect_folders.fn(found[0], "evaluation", workspace), 2, workspace.content)
    assert images == evaluation and len(images.images) == 2
    assert collect_folders.fn(found[1], "calibration", workspace) == calibration
    assert there.matrix == settings.matrix
    assert "http" not in inputs.profile


def test_what_a_profile_extends_comes_along_in_it(site: Path, tmp_path: Path) -> None:
    (site / "more.toml").write_text('extends = "own.toml"\nworkers = 7\n[release]\nname = "mine"\n')
    settings = load_settings(site / "more.toml", environ={})
    there = carried(inputs_of(settings, str(site / "more.toml"), workspace_in(tmp_path)), tmp_path / "other")
    assert (there.workers, there.release.name, there.matrix) == (7, "mine", settings.matrix)
    assert (tmp_path / "other" / WEIGHTS).read_bytes() == b"weights"


@pytest.mark.parametrize("profile", [profile for profile in known_profiles() if profile != "sample"])
def test_a_profile_of_ours_would_publish_to_the_same_place(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_in(tmp_path)

    def described(*_: object) -> ImageSet:
        return ImageSet(images=(), annotations=workspace.content.put_bytes(b"{}"))

    (tmp_path / "weights").write_bytes(b"weights")
    monkeypatch.setattr(inputs_module, "_images", described)
    monkeypatch.setattr(inputs_module, "obtain", lambda *_: tmp_path / "weights")
    settings = load_settings(profile, environ={})
    there = carried(inputs_of(settings, profile, workspace), tmp_path / "build" / "bundle")
    assert there.release == settings.release and there.store == settings.store
    assert there.weights.mirrors == (str(tmp_path / "build" / "bundle" / WEIGHTS),)
    kinds = {there.calibration.source.kind, there.evaluation.source.kind}
    assert kinds == {"folder"}  # so that no address is asked for either


def test_weights_that_ship_are_found_in_the_other_checkout(site: Path, tmp_path: Path) -> None:
    (site / "plain.toml").write_text('extends = "sample"\nworkers = 3\n')
    settings = load_settings(site / "plain.toml", environ={})
    inputs = inputs_of(settings, str(site / "plain.toml"), workspace_in(tmp_path))
    assert inputs.files == {}
    assert str(PROJECT) not in inputs.profile
    assert carried(inputs, tmp_path / "other").weights == settings.weights


@pytest.mark.parametrize("name", ['a"b.pth', "a#b.pth", "{x}'.pth", "é\u202e.pth", "x" * 200 + ".pth"])
def test_weights_may_be_called_anything(site: Path, tmp_path: Path, name: str) -> None:
    (site / name).write_bytes(b"odd")
    (site / "odd.toml").write_text(f'extends = "own.toml"\n[weights]\nmirrors = [{format_value(name)}]\n')
    inputs = inputs_of(load_settings(site / "odd.toml", environ={}), str(site / "odd.toml"), workspace_in(tmp_path))
    there = carried(inputs, tmp_path / "other")
    assert obtain(there.weights, workspace_in(tmp_path / "other")).read_bytes() == b"odd"


def test_a_build_from_an_own_profile_writes_nothing_into_the_bundle(site: Path, tmp_path: Path) -> None:
    places = '[store]\npath = "store"\n[release]\nname = "mine"\nrepository = "registry"\nfolder = "release"\n'
    (site / "places.toml").write_text(f'extends = "own.toml"\n{places}[exchange]\nfolder = "shared"\n')
    settings = load_settings(site / "places.toml", environ={})
    folder = tmp_path / "build" / "bundle"
    folder.mkdir(parents=True)
    there = carried(inputs_of(settings, str(site / "places.toml"), workspace_in(tmp_path)), folder)
    assert there.store.path == Path.cwd() / "build" / "store"
    assert there.release.repository == tmp_path / "build" / "registry" / "mine"
    assert there.release.folder == tmp_path / "build" / "release-mine"
    assert there.exchange.folder is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extends = "sample"\nworkers = 9\n', "something else"),
        ('extends = "sample"\nworkers = "many\n', "refused elsewhere"),
        ('extends = "sample"\n[store]\npath = "store"\n', "into the bundle itself"),
        ('extends = "sample"\n[release]\nfolder = "release"\n', "into the bundle itself"),
    ],
)
def test_a_profile_that_went_wrong_is_not_packed(tmp_path: Path, text: str, said: str) -> None:
    settings = load_settings("sample", environ={})
    (tmp_path / PROFILE).write_text('extends = "sample"\n')
    check_carried(tmp_path / PROFILE, settings)
    (tmp_path / PROFILE).write_text(text)
    with pytest.raises(BundleNotMade, match=said):
        check_carried(tmp_path / PROFILE, settings)


def test_weights_that_are_not_to_be_had_are_told(site: Path, tmp_path: Path) -> None:
    (site / "weights.pth").unlink()
    with pytest.raises(SourceUnavailable):
        inputs_of(load_settings(site / "own.toml", environ={}), str(site / "own.toml"), workspace_in(tmp_path))
