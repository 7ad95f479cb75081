"""Cleaning a store after real builds, beside them, and against disks that refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from artifacts import layout
from artifacts.in_use import alone_in, in_use
from flows import outcome
from flows.clean_store import run_clean
from flows.cleaning import NOT_PUBLISHED
from flows.forms import CleanForm
from tests.flows.cleaned import age, clean, files, sound
from tests.flows.conftest import Run
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may clean the machine's own cache folder."""
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "cache"))


def test_however_old_a_release_is_cleaning_leaves_all_that_it_was_made_from(run: Run, again: TinyBuild) -> None:
    digest = again.digest
    age(again)
    assert clean(again, "--yes", "--older-than", "0") == 0
    assert sound(again) and again.digest == digest
    assert run(again) == 0
    assert again.made() == set() and again.calls() == [] and again.digest == digest


def test_what_a_build_without_a_release_left_goes_and_is_made_again_when_it_is_needed(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    other = ("--set", "calibration.seed=5")
    again.switch("spoil", "--chip bm1684x")
    assert run(again, *other) == 1  # it does not pass the gate
    age(again)
    records = len(list(again.workspace.records.iterdir()))
    assert clean(again, "--yes") == 0
    shown = capsys.readouterr().out
    assert all(kind in shown for kind in ("cache records", "stored files", "journals", "refused bmodels"))
    assert len(list(again.workspace.records.iterdir())) < records
    assert not (again.folder / NOT_PUBLISHED).exists() and sound(again)
    assert run(again) == 0 and again.made() == set()
    again.switch("spoil", None)
    assert run(again, *other) == 0
    assert {"calibrate", "lower BM1684X int8"} <= again.made()
    assert sound(again)


def test_nothing_is_removed_unless_somebody_agrees(again: TinyBuild, capsys: Capture) -> None:
    again.workspace.content.put_bytes(b"nobody's")
    age(again)
    before = files(again)
    assert clean(again) == 0
    assert "1: no release and no recent run reaches them" in (shown := capsys.readouterr().out)
    assert "add --yes to do it" in shown
    assert clean(again, "--dry-run", "--list") == 0
    assert "blobs/sha256/" in capsys.readouterr().out
    assert clean(again, ask=lambda question: "n") == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert files(again) == before
    assert clean(again, ask=lambda question: "y") == 0
    assert files(again) < before


def test_a_clean_store_is_said_to_be_clean(again: TinyBuild, capsys: Capture) -> None:
    assert clean(again) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_what_a_build_uses_is_left_and_so_said(again: TinyBuild, capsys: Capture) -> None:
    again.workspace.content.put_bytes(b"nobody's")
    age(again)
    before = files(again)
    with in_use(again.workspace.store):
        assert clean(again, "--yes") == 1
    assert f"left as it is: {again.workspace.store}" in capsys.readouterr().out
    assert files(again) == before
    assert clean(again, "--yes") == 0
    assert files(again) < before


def test_a_build_holds_the_store_while_it_runs(again: TinyBuild, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    found: list[bool] = []

    def publish(*arguments: object, **options: object) -> None:
        with alone_in(again.workspace.store) as store, alone_in(again.workspace.cache) as folder:
            found.extend((store, folder))
        raise AssertionError("far enough")

    monkeypatch.setattr(outcome, "publish", publish)
    assert run(again) == 1
    assert found == [False, False]


def test_a_forgotten_version_frees_its_space_and_a_channels_does_not_go(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    old = again.release.version
    assert clean(again, "--yes", "--forget", old) == 1
    assert f"error: latest is the release {old}, so it stays" in capsys.readouterr().err
    assert run(again, "--set", "calibration.seed=7") == 0
    new = again.release.version
    assert new != old and clean(again, "--yes", "--forget", old, "--older-than", "0") == 0
    assert sorted(layout.tags(again.folder / "registry")) == sorted([new, "latest"])
    assert "registry leftovers" in capsys.readouterr().out and sound(again)
    assert run(again, "--set", "calibration.seed=7") == 0 and again.made() == set()


@pytest.mark.parametrize("arguments", [["--older-than", "-1"], ["--older-than", "week"], ["--yes", "--dry-run"]])
def test_wrong_usage_is_refused(again: TinyBuild, arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        clean(again, *arguments)
    assert caught.value.code == 2


def test_wrong_settings_are_refused(capsys: Capture) -> None:
    assert run_clean(["--set", "keep.dais=3"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_it_calls_the_folder_of_refused_bmodels_as_the_build_does() -> None:
    assert outcome.KEPT_NAME == NOT_PUBLISHED


def test_as_a_flow_it_does_the_same(again: TinyBuild, prefect_server: None) -> None:
    from flows.deployed import clean as flow

    def cleaned(profile: Path = again.profile, **fields: object) -> State[Any]:
        state: State[Any] = flow(CleanForm.model_validate({"profile_file": str(profile), **fields}), return_state=True)
        return state

    blob = again.workspace.content.put_bytes(b"nobody's")
    age(again)
    assert cleaned(remove=False).is_completed() and again.workspace.content.is_sound(blob)
    with in_use(again.workspace.store):
        skipped = cleaned()
    assert skipped.is_completed() and skipped.name == "Skipped" and "left as it is" in str(skipped.message)
    done = cleaned()
    assert done.is_completed() and "removed: " in str(done.message) and not again.workspace.content.is_sound(blob)
    wrong = cleaned(again.folder / "nothing.toml")
    assert wrong.is_failed() and "nothing.toml" in str(wrong.message)
