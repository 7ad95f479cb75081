"""Verifying what a build left, and building on what decayed."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import pytest

from artifacts.in_use import alone_in, in_use
from flows.verify_store import run_verify
from tests.artifacts.damage import FLIPPED, decay
from tests.flows.conftest import Run
from tests.flows.decaying import Decaying
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]

ROUNDS, TOGETHER = 4, 30


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may look at the machine's own cache folder."""
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "cache"))


def test_what_decays_is_named_and_heals_or_is_restored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    decaying = Decaying(TinyBuild(tmp_path / "build"), run, tmp_path)
    chance = random.Random(11)
    cases = decaying.cases()
    for _ in range(ROUNDS):
        chosen = dict(chance.sample(cases, TOGETHER))
        assert decaying.tried(list(chosen.items()), chance).problems == ()


def test_a_sound_store_is_said_to_be_sound_and_nothing_is_changed(again: TinyBuild, capsys: Capture) -> None:
    before = {path: path.stat().st_mtime_ns for path in again.folder.rglob("*") if path.is_file()}
    assert run_verify(["--profile", str(again.profile)]) == 0
    shown = capsys.readouterr().out
    assert "everything is sound" in shown and "MB/s" in shown and "stored files" in shown
    after = {path: path.stat().st_mtime_ns for path in again.folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


def test_what_is_wrong_is_told_with_what_to_do_and_as_json(again: TinyBuild, capsys: Capture) -> None:
    model = next((again.folder / "release").rglob("*.bmodel"))
    decay(model, FLIPPED, random.Random(1), again.folder)
    (again.folder / "registry" / "index.json").unlink()
    assert run_verify(["--profile", str(again.profile)]) == 1
    shown = capsys.readouterr().out
    assert shown.index("needs you: 1") < shown.index("heals by itself: 1")
    assert "restore the registry from the backup" in shown and str(model) in shown and "laid out anew" in shown
    assert run_verify(["--profile", str(again.profile), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["sound"] and {one["remedy"] for one in found["problems"]} == {"needs you", "heals by itself"}


def test_wrong_settings_are_refused(capsys: Capture) -> None:
    assert run_verify(["--set", "keep.dais=3"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_nothing_built_yet_is_sound(tmp_path: Path, capsys: Capture) -> None:
    build = TinyBuild(tmp_path)
    assert run_verify(["--profile", str(build.profile)]) == 0
    assert not (tmp_path / "store").exists() and not (tmp_path / "cache").exists()


def test_it_runs_beside_a_build_and_keeps_cleaning_out(
    again: TinyBuild, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    found: list[bool] = []

    def look(*_: object) -> list[object]:
        with alone_in(again.workspace.store) as store:
            found.append(store)
        return []

    monkeypatch.setattr("flows.verifying.check_store", look)
    assert run_verify(["--profile", str(again.profile)]) == 0
    assert found == [False]


def test_a_store_that_is_being_cleaned_for_too_long_is_told_in_one_line(
    again: TinyBuild, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.verifying.in_use", partial(in_use, timeout_s=0.1))
    with alone_in(again.folder / "store"):
        assert run_verify(["--profile", str(again.profile)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
