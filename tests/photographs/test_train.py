"""The fitting starts from the sample's weights, is taken up where it was, and says how to build from what it left."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from settings import FolderSource, LabelledFolderSource, load_settings
from tasks.network import build_network
from tasks.network.checkpoint import load_checkpoint
from tasks.sample import NETWORK, NUM_CLASSES, WEIGHTS
from tasks.sample.training import Run
from tests.photographs import COCO_MINI, INPUT_SIDE, OUTPUT, PROFILE, train
from tests.photographs.test_album import album
from tests.photographs.train import build_command, main, photographs_course


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads waiting for each other cost more than they bring on inputs this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 2, "EARLY_SIDE": 32, "INPUT_SIDE": 64}.items():
        monkeypatch.setattr(train, name, value)


def command(folder: Path, *more: str) -> list[str]:
    photographs = ["--images", str(folder), "--annotations", str(folder / "boxes.json")]
    return [*photographs, "--output", str(folder / "out"), "--minutes", "0.001", *more]


def left_by_a_fit(folder: Path, weights: bytes) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "weights.pth").write_bytes(weights)
    (folder / "out" / "photographs.json").write_text(json.dumps([str(folder), str(folder / "boxes.json")]))


@pytest.mark.usefixtures("small")
def test_a_fit_of_a_step_leaves_weights_and_a_log_that_says_what_its_ap_is_worth(tmp_path: Path) -> None:
    album(tmp_path)
    assert main(command(tmp_path)) == 0
    load_checkpoint(tmp_path / "out" / "weights.pth", build_network(NETWORK, 0.25, NUM_CLASSES))
    log = (tmp_path / "out" / "training.log").read_text()
    assert "on the very 4 photographs that it was fitted to (a test of the pipeline, not of the detector)" in log


@pytest.mark.usefixtures("small")
def test_where_a_fit_has_ended_none_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_by_a_fit(tmp_path, b"trained for long")
    assert main(command(tmp_path)) == 0
    assert (tmp_path / "out" / "weights.pth").read_bytes() == b"trained for long"
    assert "remove it to train again" in capsys.readouterr().out


def test_weights_that_were_fitted_to_other_photographs_are_not_taken_for_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_by_a_fit(tmp_path, b"trained for long")
    assert main(command(tmp_path, "--images", str(tmp_path / "others"))) == 1
    told = capsys.readouterr()
    assert f"fitted to those of {tmp_path}; choose another --output" in told.err
    assert "Build from it" not in told.out


@pytest.mark.usefixtures("small")
def test_an_interrupted_fit_is_taken_up_where_it_was(tmp_path: Path) -> None:
    found = album(tmp_path)
    run = Run(photographs_course(found, 0))
    run.step(32, 1e-3)
    left_by_a_fit(tmp_path, b"half way")
    run.save(tmp_path / "out" / "training.state")
    assert main(command(tmp_path)) == 0
    assert "resumed after step 1" in (tmp_path / "out" / "training.log").read_text()
    assert (tmp_path / "out" / "weights.pth").stat().st_size > 1_000_000


def test_the_fit_begins_with_the_samples_weights(tmp_path: Path) -> None:
    course = photographs_course(album(tmp_path), 0)
    assert course.start == WEIGHTS
    assert (course.early_side, course.side) == (160, 256)


def test_photographs_that_cannot_be_used_are_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path)) == 1
    assert "The photographs cannot be used" in capsys.readouterr().err


def test_the_profile_builds_from_what_the_fit_leaves_and_never_calibrates_on_what_it_evaluates() -> None:
    settings = load_settings(PROFILE, environ={})
    root = PROFILE.parents[2]
    assert settings.weights.mirrors == (str(root / "build/photographs/weights.pth"),)
    assert settings.preprocess.spec().width == settings.preprocess.spec().height == INPUT_SIDE
    assert settings.demonstration
    calibration, evaluation = settings.calibration.source, settings.evaluation.source
    assert isinstance(calibration, FolderSource) and isinstance(evaluation, LabelledFolderSource)
    assert evaluation.folders == (COCO_MINI / "train2017",)
    assert {folder.name for folder in calibration.folders} == {"val2017_unlabelled", "val2017"}
    assert settings.release.repository.is_relative_to(root / "build/photographs")
    assert settings.release.folder.is_relative_to(root / "build/photographs")


def test_there_are_enough_candidates_for_the_profiles_calibration(coco_mini: Path) -> None:
    settings = load_settings(PROFILE, environ={})
    assert isinstance(settings.calibration.source, FolderSource)
    candidates = [path for folder in settings.calibration.source.folders for path in folder.glob("*.jpg")]
    assert settings.calibration.count <= 0.8 * len(candidates)


def test_the_command_builds_from_ones_own_photographs(tmp_path: Path) -> None:
    plain = build_command(OUTPUT, COCO_MINI / "train2017", COCO_MINI / "annotations/instances_train2017.json")
    assert plain == ".venv/bin/python -m flows.build --profile tests/photographs/photographs.toml"
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "weights.pth").write_bytes(b"w")
    own = build_command(tmp_path / "o", tmp_path / "my images", tmp_path / "b.json")
    arguments = shlex.split(own)
    overrides = [value for flag, value in pairwise(arguments) if flag == "--set"]
    settings = load_settings(PROFILE, overrides=overrides, environ={})
    assert settings.weights.mirrors == (f"{tmp_path}/o/weights.pth",)
    assert settings.weights.digest is not None
    assert isinstance(settings.evaluation.source, LabelledFolderSource)
    assert settings.evaluation.source.folders == (tmp_path / "my images",)
    assert settings.evaluation.source.annotations == (tmp_path / "b.json",)
