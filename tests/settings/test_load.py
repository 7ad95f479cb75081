"""Where settings come from, and what wins over what."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from settings import (
    FolderSource,
    GeneratedSource,
    LabelledFolderSource,
    Settings,
    SettingsError,
    known_profiles,
    load_settings,
)
from settings.locations import PROJECT

PARTS_OF_THE_PROJECT = ("artifacts", "inference", "settings", "tasks", "flows")


def load(profile: str | Path = "sample", *overrides: str, **environ: str) -> Settings:
    return load_settings(profile, overrides=overrides, environ=environ)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_environment_wins_over_the_profile_and_the_command_line_over_both() -> None:
    assert load().calibration.count == 200
    assert load(CENTERNET_CALIBRATION__COUNT="150").calibration.count == 150
    assert load("sample", "calibration.count=100", CENTERNET_CALIBRATION__COUNT="150").calibration.count == 100


def test_of_two_overrides_of_one_key_the_last_wins() -> None:
    assert load("sample", "workers=3", "workers=4").workers == 4


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTERNET_WORKERS", "7")
    assert load().workers == 2


def test_no_variable_that_the_project_reads_is_taken_for_a_misspelt_setting() -> None:
    sources = [path.read_text() for folder in PARTS_OF_THE_PROJECT for path in (PROJECT / folder).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r'"(CENTERNET_[A-Z_]*[A-Z])"', text)}
    assert {"CENTERNET_CACHE", "CENTERNET_KEYS", "CENTERNET_REGISTRY_PASSWORD", "CENTERNET_CHECKOUT"} <= named
    assert load(**dict.fromkeys(named, "x"), CENTERNETWORK="x").model_dump() == load().model_dump()


def test_setting_one_key_of_a_table_keeps_the_others() -> None:
    floors = load("sample", "gate.min_cosine.int8.size=0.5").gate.min_cosine
    assert floors.int8.size == 0.5
    assert floors.int8.heatmap == load().gate.min_cosine.int8.heatmap
    assert floors.fp16 == load().gate.min_cosine.fp16


def test_a_profile_extends_another_and_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    mine = load(write(tmp_path / "mine.toml", 'extends = "sample"\n[gate]\nmax_ap_drop = 0.5\n'))
    assert (mine.profile, mine.gate.max_ap_drop) == ("mine.toml", 0.5)
    assert mine.demonstration
    assert mine.network.width == 0.25


def test_a_profile_file_extends_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "base.toml", 'extends = "coco"\nworkers = 5\n[store]\npath = "kept"\n')
    mine = load(write(tmp_path / "sub" / "mine.toml", 'extends = "../base.toml"\n[release]\nfolder = "out"\n'))
    assert mine.workers == 5
    assert mine.store.path == tmp_path / "kept"
    assert mine.release.folder == tmp_path / "sub" / "out"


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", f'extends = "../{tmp_path.name}/b.toml"')
    write(tmp_path / "b.toml", f'extends = "../{tmp_path.name}/a.toml"')
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "a.toml")
    assert [problem.what for problem in caught.value.problems] == ["goes round in a circle"]


def test_a_source_of_another_kind_takes_the_place_of_the_whole_source(tmp_path: Path) -> None:
    text = f"""
        extends = "coco"
        [calibration.source]
        kind = "folder"
        folders = ["photographs", "{tmp_path}/more"]
        [evaluation.source]
        kind = "folder"
        folders = ["val"]
        annotations = ["val.json"]
    """
    mine = load(write(tmp_path / "mine.toml", text))
    photographs = (tmp_path / "photographs", tmp_path / "more")
    assert mine.calibration.source == FolderSource(kind="folder", folders=photographs)
    assert mine.evaluation.source == LabelledFolderSource(
        kind="folder", folders=(tmp_path / "val",), annotations=(tmp_path / "val.json",)
    )
    assert mine.evaluation.limit == 1000


def test_the_order_of_kind_and_its_keys_on_the_command_line_does_not_matter() -> None:
    keys = ["calibration.source.count=300", "calibration.source.kind=generated"]
    for overrides in (keys, keys[::-1]):
        assert load("coco", *overrides).calibration.source == GeneratedSource(kind="generated", count=300)


def test_the_same_kind_again_keeps_the_other_keys() -> None:
    assert load("sample", "calibration.source.kind=generated").calibration.source == load().calibration.source


def test_relative_paths_start_at_the_profile_file_or_else_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    profile = write(tmp_path / "mine.toml", 'extends = "sample"\n[store]\npath = "s"\n')
    monkeypatch.chdir(elsewhere)
    mine = load(profile, "toolchain.python=bin/python", CENTERNET_RELEASE__FOLDER="r")
    assert mine.store.path == tmp_path / "s"
    assert mine.toolchain.python == elsewhere / "bin/python"
    assert mine.release.folder == elsewhere / "r"
    assert mine.release.repository == elsewhere / "build/registry/centernet"
    assert load("../mine.toml").store.path == tmp_path / "s"


def test_the_home_folder_is_that_of_the_given_environment() -> None:
    assert load("sample", "store.path=~/s", HOME="/home/x").store.path == Path("/home/x/s")


def test_a_shipped_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().weights.mirrors == (str(PROJECT / "tasks/sample/weights.pth"),)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("toolchain.version=1.30", "toolchain.version", "1.30"),
        ('toolchain.version="1.30"', "toolchain.version", "1.30"),
        ("release.version=2026-01-01", "release.version", "2026-01-01"),
        ("release.version=none", "release.version", None),
        ("evaluation.limit=none", "evaluation.limit", None),
        ("evaluation.limit = 5 ", "evaluation.limit", 5),
        ("calibration.count=0xff", "calibration.count", 255),
        ("quantize.float_tail=false", "quantize.float_tail", False),
        ("gate.max_ap_drop=1", "gate.max_ap_drop", 1.0),
        ("gate={max_ap_drop=0.25}", "gate.max_ap_drop", 0.25),
        ("gate={}", "gate.max_ap_drop", 0.02),
        ("simulator.skip=[]", "simulator.skip", ()),
        ("simulator.skip=BM1688/*", "simulator.skip", ("BM1688/*",)),
        ("weights.mirrors=/a=b/[c].pth", "weights.mirrors", ("/a=b/[c].pth",)),
        ("weights.mirrors=['/a', \"/b\"]", "weights.mirrors", ("/a", "/b")),
        ("store.path=[x]", "store.path", Path.cwd() / "[x]"),
    ],
)
def test_text_is_read_as_toml_where_the_key_takes_no_text(override: str, key: str, value: object) -> None:
    name, _, text = override.partition("=")
    variable = "CENTERNET_" + name.strip().upper().replace(".", "__")
    for settings in (
        load("sample", "weights.record_first_use=true", override),
        load("sample", "weights.record_first_use=true", **{variable: text}),
    ):
        found: object = settings
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value


def test_the_matrix_is_set_as_a_whole() -> None:
    row = '[{chip="BM1684", precisions=["int8"], batches=[4]}]'
    for settings in (load("sample", f"matrix={row}"), load(CENTERNET_MATRIX=row)):
        assert [variant.path for variant in settings.variants()] == ["BM1684/centernet_int8_4b.bmodel"]


def test_no_key_that_is_missing_is_reported_where_the_profile_could_not_be_read(tmp_path: Path) -> None:
    broken = write(tmp_path / "broken.toml", "a = = 1\n")
    with pytest.raises(SettingsError) as caught:
        load(broken, "workers=0", CENTERNET_COLOUR="x")
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["profile", "CENTERNET_COLOUR", "workers"]
    assert "line 1" in str(caught.value)


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.write_text("a = " + "[" * 5000),
        lambda path: path.write_text("a = " + "1" * 5000),
        lambda path: path.symlink_to(path),
        lambda path: None,
    ],
    ids=["folder", "no UTF-8", "deep", "long number", "link to itself", "missing"],
)
def test_a_profile_that_is_no_readable_toml_is_one_problem(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "x.toml"
    make(path)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert [problem.key for problem in caught.value.problems] == ["profile"]
    assert "cannot be read" in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().workers = 3  # type: ignore[misc]


@pytest.mark.parametrize("profile", known_profiles())
def test_every_shipped_profile_loads(profile: str) -> None:
    settings = load(profile)
    assert settings.profile == profile
    assert settings.variants()


def test_the_sample_is_a_demonstration_and_the_coco_profile_is_not() -> None:
    assert load("sample").demonstration
    assert not load("coco").demonstration
    assert load("coco").gate.max_ap_drop == 0.005
    assert load("coco").weights.size == 221_889_662


def test_the_deformable_profile_is_the_coco_profile_with_other_weights_and_a_release_of_its_own() -> None:
    plain, deformable = load("coco"), load("coco-dla34")
    assert (deformable.network.name, deformable.network.width) == ("dla_34", 1.0)
    assert (deformable.evaluation, deformable.gate) == (plain.evaluation, plain.gate)
    assert not set(deformable.weights.mirrors) & set(plain.weights.mirrors)
    assert deformable.weights.size == 80_911_783
    assert deformable.weights.digest is not None and deformable.weights.digest.startswith("sha256:43bf4cc2")
    assert not {deformable.release.repository, deformable.release.folder} & {
        plain.release.repository,
        plain.release.folder,
    }


def test_a_table_and_a_value_for_one_key_replace_each_other() -> None:
    assert load("sample", "gate=0.5", "gate.max_ap_drop=0.1").gate.max_ap_drop == 0.1
    with pytest.raises(SettingsError) as caught:
        load("sample", "gate.max_ap_drop=0.1", "gate=0.5")
    assert [problem.key for problem in caught.value.problems] == ["gate"]


def test_a_profile_may_extend_one_in_the_home_folder(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", 'extends = "sample"\nworkers = 9\n')
    (tmp_path / "sub").mkdir()
    mine = write(tmp_path / "sub" / "mine.toml", 'extends = "~/base.toml"\n')
    assert load(mine, HOME=str(tmp_path)).workers == 9
