"""Each tensor is put into float alone, and what is worth most comes first. Compiler and interpreter are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from settings.quantize import Recipe
from tasks import sensitivity as module
from tasks.errors import CommandFailed
from tasks.records import CalibrationSet
from tasks.rungs import Infer, Tensor
from tasks.sensitivity import IMAGES, energies, find_sensitive, removed
from tests.tasks.results import INT8
from tests.tasks.test_compile import DRIVING, Bench
from tests.tasks.test_rungs import image_set

SPEC = PreprocessSpec(width=64, height=64)
TAIL = ("16", "62", "84", "106")
# How much noise each tensor brings into which channel while it is not between layers in float.
NOISE = {
    ("input.1",): (0, 0.5),
    ("input.1", "input0.2"): (80, 1.0),
    ("input0.2", "55", "77", "99"): (0, 1.0),
    ("99", "106"): (82, 0.25),
}
TENSORS = [{"input.1"}, {"input.1", "input0.2"}, {"input0.2", "55", "77", "99"}, {"55"}, {"77"}, {"99"}]


def wanted(batch: Tensor) -> Tensor:
    return np.zeros((len(batch), 84, 16, 16), np.float32)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What was in float in each network that was loaded."""
    found: list[set[str]] = []

    @contextmanager
    def interpreting(path: Path, *_: Any) -> Iterator[Infer]:
        kept = {line.split()[0] for line in bench.fake.noted("quantize_tables") if line}
        (bench.fake.root / "quantize_tables").unlink()
        found.append(kept)
        assert path.is_file()

        def infer(batch: Tensor) -> Tensor:
            heads = wanted(batch)
            for layers, (channel, noise) in NOISE.items():
                heads[:, channel, 0, 0] += 0.0 if kept.issuperset(layers) else noise
            return heads

        yield infer

    monkeypatch.setattr(module, "interpreting", interpreting)
    monkeypatch.setattr(module, "torchscript_of", lambda *_: wanted)
    return found


@pytest.fixture
def images(tmp_path: Path, bench: Bench) -> CalibrationSet:
    found = image_set(tmp_path, bench.workspace, IMAGES + 2)
    return CalibrationSet.model_construct(images=found.images)


def test_every_tensor_is_tried_alone_and_what_is_worth_most_comes_first(
    bench: Bench, seen: list[set[str]], images: CalibrationSet
) -> None:
    job = (bench.table, Recipe(), bench.traced, images, SPEC, bench.fake.toolchain, DRIVING, bench.workspace)
    found = find_sensitive.fn(INT8, bench.imported(), *job)
    # Between the last convolutions and the concatenation all is in float anyway.
    assert [one - set(TAIL) for one in seen] == [set(), *TENSORS]
    assert all(set(TAIL) <= one for one in seen)
    assert found.images == IMAGES
    # Of the heatmap's noise of 1.5 the first tensor brings a third, the third two; size and offset have one source.
    # The third is read by the first layer of the offset as well, whose own noise needs the layer behind it too.
    worth = {one.tensor: one.removed for one in found.tensors}
    assert worth["input0.2"]["heatmap"] == pytest.approx(1 - 1 / 9) and worth["input0.2"]["offset"] == 1.0
    assert worth["input.1"] == {"heatmap": pytest.approx(1 - 4 / 9), "size": 1.0, "offset": 0.0}
    assert [one.tensor for one in found.tensors] == ["input0.2", "input.1", "99", "x.1", "55", "77"]
    assert found.layers(2) == ("input0.2", "55", "77", "99", "input.1")
    assert {one.tensor: one.kind for one in found.tensors}["x.1"] == "top.Input"


def test_a_tensor_that_the_compiler_does_not_take_in_float_is_left_out(
    bench: Bench, seen: list[set[str]], images: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = module.lowering

    def lowering(*arguments: Any) -> Any:
        if "77" in arguments[4]:
            raise CommandFailed("lower", ["model_deploy"], 1, Path("log"), None)
        return whole(*arguments)

    monkeypatch.setattr(module, "lowering", lowering)
    job = (bench.table, Recipe(), bench.traced, images, SPEC, bench.fake.toolchain, DRIVING, bench.workspace)
    found = find_sensitive.fn(INT8, bench.imported(), *job)
    assert [one.tensor for one in found.tensors] == ["input.1", "99", "x.1", "55"]


def test_energies_are_summed_by_head_over_all_images() -> None:
    ones, halves = np.ones((1, 6, 2, 2), np.float32), np.full((1, 6, 2, 2), 0.5, np.float32)
    assert energies([ones, ones], iter([halves, halves])) == {"heatmap": 4.0, "size": 4.0, "offset": 4.0}


def test_a_head_without_noise_loses_none() -> None:
    assert removed({"heatmap": 0.0, "size": 2.0}, {"heatmap": 0.0, "size": 3.0}) == {"heatmap": 0.0, "size": -0.5}
