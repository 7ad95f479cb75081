"""What may go from the folder that checkouts share: compilers and downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.housekeeping.cache import environments, needed, survey_toolchains
from tasks.housekeeping.releases import Release, Releases
from tasks.toolchain.provision import recipe_of
from tests.artifacts.releases import record
from tests.tasks.housekeeping.places import Places

NONE: frozenset[str] = frozenset()


def release(version: str, fingerprint: str, *channels: str) -> Release:
    return Release("sha256:aa", (version, *channels), channels, NONE, NONE, (version, fingerprint))


@pytest.fixture
def compilers(places: Places) -> Places:
    for number in (9, 10, 11, 12):
        places.environment(f"tpu-mlir-1.{number}.0-key{number}", f"1.{number}.0", f"sha256:{number}")
    return places


def kept(places: Places, *releases: Release, wanted: str = "", newest: int = 1, **environ: str) -> set[str]:
    found = needed(environments(places.workspace), releases, {wanted}, newest, environ)
    return {path.name.split("-")[2] for path in found}


def test_the_newest_compilers_stay_by_number_and_not_by_letter(compilers: Places) -> None:
    assert kept(compilers) == {"1.12.0"}
    assert kept(compilers, newest=3) == {"1.10.0", "1.11.0", "1.12.0"}


def test_a_channels_compiler_stays_and_a_mere_versions_goes(compilers: Places) -> None:
    assert kept(compilers, release("1.9.0", "sha256:9", "stable")) == {"1.9.0", "1.12.0"}
    assert kept(compilers, release("1.9.0", "sha256:9")) == {"1.12.0"}


def test_of_two_environments_of_one_version_the_one_that_made_the_release_stays(compilers: Places) -> None:
    other = compilers.environment("tpu-mlir-1.9.0-other", "1.9.0", "sha256:other")
    found = needed(environments(compilers.workspace), [release("1.9.0", "sha256:9", "latest")], {""}, 1, {})
    assert other not in found and other.with_name("tpu-mlir-1.9.0-key9") in found


def test_where_no_environment_has_the_fingerprint_those_of_its_version_stay(compilers: Places) -> None:
    assert kept(compilers, release("1.9.0", "sha256:other", "latest")) == {"1.9.0", "1.12.0"}


def test_the_compiler_of_the_settings_and_of_the_simulator_stay(compilers: Places) -> None:
    assert kept(compilers, wanted="tpu-mlir-1.10.0-key10") == {"1.10.0", "1.12.0"}
    python = compilers.folder / "cache" / "toolchains" / "tpu-mlir-1.9.0-key9" / "bin" / "python"
    assert kept(compilers, CENTERNET_TOOLCHAIN_PYTHON=str(python)) == {"1.9.0", "1.12.0"}


def test_what_goes_with_an_environment_goes_too_and_unfinished_ones_are_no_environments(compilers: Places) -> None:
    compilers.environment("tpu-mlir-1.13.0-half", "")
    going = compilers.going()
    for name in ("tpu-mlir-1.9.0-key9", "tpu-mlir-1.10.0-key10", "tpu-mlir-1.13.0-half"):
        assert {f"cache/toolchains/{name}{suffix}" for suffix in ("", ".log", ".lock")} <= going
    assert not any("1.11.0" in name or "1.12.0" in name for name in going)


def test_the_environment_of_the_settings_is_known_by_its_recipe(places: Places) -> None:
    settings = places.settings
    ours = places.environment(recipe_of(settings.toolchain.version).folder, settings.toolchain.version)
    for number in (90, 91, 92):
        places.environment(f"tpu-mlir-{number}.0-x", f"{number}.0")
    assert {Path(name).name for name in places.going() if "." not in Path(name).suffix[:0]} >= {"tpu-mlir-90.0-x"}
    assert str(ours.relative_to(places.folder)) not in places.going()


def test_settings_that_name_the_other_compiler_keep_no_environment(places: Places) -> None:
    settings = places.settings
    ours = places.environment(recipe_of(settings.toolchain.version).folder, settings.toolchain.version)
    toolchain = settings.toolchain.model_copy(update={"name": "tpu-nntc"})
    settings = settings.model_copy(
        update={"toolchain": toolchain, "keep": settings.keep.model_copy(update={"toolchains": 0})}
    )
    items, kept = survey_toolchains(settings, places.workspace, Releases(), {})
    assert ours not in kept and ours in {item.path for item in items}


def test_a_damaged_mark_makes_an_environment_an_unfinished_one(places: Places) -> None:
    folder = places.environment("tpu-mlir-1.30.2-x", "1.30.2")
    (folder / "ready.json").write_text("[")
    assert str(folder.relative_to(places.folder)) in places.going()


def test_downloads_that_nothing_needs_go_when_they_are_old(places: Places) -> None:
    downloads = places.folder / "cache" / "downloads"
    places.write(downloads / "aaaa-old.pth", "old")
    places.write(downloads / "aaaa-old.pth.part", "half")
    places.write(downloads / "val2017" / "1.jpg", "image")
    places.write(downloads / "bbbb-young.pth", "young", days=1)
    places.write(downloads / "sources.lock.json", "{}")
    places.write(downloads / ".sources.lock.json.lock", "")
    assert places.going() == {
        f"cache/downloads/{name}" for name in ("aaaa-old.pth", "aaaa-old.pth.part", "val2017/1.jpg")
    }


def test_downloads_that_a_recent_run_or_a_release_used_stay(places: Places) -> None:
    used = places.write(places.folder / "cache" / "downloads" / "val2017" / "1.jpg", "image")
    key = places.record("curate", images=(places.blob("image"),))
    assert used.exists() and "cache/downloads/val2017/1.jpg" in places.going()
    places.run("this-week", key, days=1)
    assert places.going() == set()
    places.write(places.folder / "cache" / "downloads" / "aaaa-weights.pth", "weights")
    assert places.going() == {"cache/downloads/aaaa-weights.pth"}
    places.release("1.0.0")
    assert record("1.0.0").provenance.weights_digest and places.going() == set()


def test_what_the_settings_name_stays(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    from settings.load import load_settings
    from tasks.source_files import kept_at

    coco = load_settings("coco", environ={})
    monkeypatch.setattr(Places, "settings", coco)
    for path in (kept_at(coco.weights, places.workspace), places.folder / "cache" / "downloads" / "val2017" / "1.jpg"):
        places.write(path, "x")
        places.write(path.with_name(path.name + ".part"), "x")
    assert places.going() == set()
