"""The training writes weights that read back, and a log that says what was done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.network import build_network
from tasks.network.checkpoint import load_checkpoint
from tasks.sample import WEIGHTS, train, training
from tasks.sample.train import main, scenes_course
from tasks.sample.training import Run, learning_rate, save_weights, stored_copy, training_batch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads waiting for each other cost more than they bring on inputs this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_training_of_a_few_seconds_leaves_weights_and_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    for name, value in {"BATCH": 2, "EVALUATION_SCENES": 1, "EARLY_SIDE": 32, "INPUT_SIDE": 64}.items():
        monkeypatch.setattr(train, name, value)
    assert main(["--minutes", "0.02", "--seed", "5", "--output", str(tmp_path)]) == 0
    network = build_network("dlav0_34", 0.25)
    before = network.state_dict()["hm.2.weight"].clone()
    load_checkpoint(tmp_path / "weights.pth", network)
    assert not torch.equal(network.state_dict()["hm.2.weight"], before)
    assert not (tmp_path / "training.state").exists()
    log = (tmp_path / "training.log").read_text()
    assert "seed 5" in log
    assert f"torch {torch.__version__}" in log
    assert "COCO AP@[.5:.95]" in log
    assert {path.name for path in tmp_path.iterdir()} == {"weights.pth", "training.log"}


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "BATCH", 2)
    straight, interrupted, resumed = (Run(scenes_course(seed)) for seed in (0, 0, 1))
    for _ in range(3):
        straight.step(32, 1e-3)
    interrupted.step(32, 1e-3)
    interrupted.step(32, 1e-3)
    interrupted.save(tmp_path / "training.state")
    resumed.course = interrupted.course
    resumed.load(tmp_path / "training.state")
    assert resumed.used_s == interrupted.used_s > 0
    resumed.step(32, 1e-3)
    assert resumed.steps == straight.steps == 3
    for part in ("network", "averaged"):
        expected = getattr(straight, part).state_dict()
        actual = getattr(resumed, part).state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in actual.items())


def test_a_training_begins_with_the_weights_that_it_is_given() -> None:
    given = build_network("dlav0_34", 0.25)
    load_checkpoint(WEIGHTS, given)
    run = Run(replace(scenes_course(0), start=WEIGHTS))
    for part in (run.network, run.averaged):
        state = part.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in given.state_dict().items())


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["--resume", "--output", str(tmp_path)])


def test_what_is_measured_is_what_is_stored(tmp_path: Path) -> None:
    network = build_network("dlav0_34", 0.25)
    save_weights(network, tmp_path / "w.pth", epoch=3)
    stored = torch.load(tmp_path / "w.pth", weights_only=True)
    assert stored["epoch"] == 3
    assert {value.dtype for value in stored["state_dict"].values()} == {torch.float16, torch.int64}
    read = build_network("dlav0_34", 0.25)
    load_checkpoint(tmp_path / "w.pth", read)
    measured = stored_copy(network).state_dict()
    assert all(torch.equal(value, measured[key]) for key, value in read.state_dict().items())


def test_weights_that_float16_cannot_hold_are_not_stored(tmp_path: Path) -> None:
    network = build_network("dlav0_34", 0.125)
    save_weights(network, tmp_path / "w.pth", epoch=0)
    good = (tmp_path / "w.pth").read_bytes()
    network.state_dict()["hm.2.bias"].fill_(1e6)
    with pytest.raises(ValueError, match=r"hm\.2\.bias"):
        save_weights(network, tmp_path / "w.pth", epoch=1)
    assert (tmp_path / "w.pth").read_bytes() == good


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [learning_rate(progress) for progress in np.linspace(0, 1, 201)]
    top = int(np.argmax(rates))
    assert 0 < top < 20
    assert rates[top] == pytest.approx(training.PEAK_RATE, rel=0.02)
    assert all(np.diff(rates[: top + 1]) > 0)
    assert all(np.diff(rates[top:]) < 0)
    assert rates[-1] == pytest.approx(training.PEAK_RATE / 100)
    assert learning_rate(1.5) == rates[-1]


def test_batches_follow_each_other_without_a_scene_twice() -> None:
    first, again, second = (training_batch(scenes_course(0), step, 64) for step in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({image.numpy().tobytes() for batch in (first, second) for image in batch[0]}) == 2 * train.BATCH
    assert [tuple(part.shape[1:]) for part in first] == [(3, 64, 64), (8, 16, 16), (4, 16, 16), (16, 16)]


def test_averaging_moves_statistics_as_well_as_weights() -> None:
    averaged, latest = build_network("dlav0_34", 0.125), build_network("dlav0_34", 0.125)
    for network, value in ((averaged, 0.0), (latest, 1.0)):
        for tensor in network.state_dict().values():
            tensor.fill_(value)
    training._average(averaged, latest, 0.75)
    state = averaged.state_dict()
    assert torch.all(state["hm.2.weight"] == 0.25)
    assert torch.all(state["base.level0.1.running_var"] == 0.25)
    assert int(state["base.level0.1.num_batches_tracked"]) == 1
