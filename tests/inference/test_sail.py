"""The device's engine over a stand-in for the vendor's module."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.engines.sail import SailEngine
from inference.engines.simulator import SimulatorEngine
from inference.errors import EngineError, ModelError
from tests.inference.conftest import INPUT, CompiledModels
from tests.inference.sail_files import FLOAT16, INT8, UINT8, images, write


def test_a_float_model_takes_and_gives_what_it_says(sail: Any, tmp_path: Path) -> None:
    batch = images(1)
    with SailEngine(write(tmp_path)) as engine:
        info = engine.info
        assert (info.engine, info.chip, info.batch, info.input_dtype) == ("sail", "BM1684X", 1, "float32")
        assert (info.input.name, info.output.name) == ("image", "heads")
        heads = engine.run(batch)
    assert (heads.dtype, heads.shape) == (np.float32, (1, 7, 8, 8))
    np.testing.assert_array_equal(sail.calls[0]["image"], batch)
    np.testing.assert_array_equal(heads.reshape(-1)[1:3] - heads.reshape(-1)[0] % 100, [1, 2])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_a_model_of_four_is_fed_partly_filled_batches(sail: Any, tmp_path: Path, count: int) -> None:
    batch = images(count)
    with SailEngine(write(tmp_path, batch=4)) as engine:
        heads = engine.run(batch)
    assert heads.shape == (count, 7, 8, 8)
    assert {call["image"].shape[0] for call in sail.calls} == {4}
    given = np.concatenate([call["image"] for call in sail.calls])
    np.testing.assert_array_equal(given[:count], batch)
    firsts = np.rint(batch.reshape(count, -1).astype(np.float64).sum(axis=1)) % 100
    np.testing.assert_array_equal(heads[:, 0, 0, 0], firsts)


def test_an_int8_input_is_scaled_rounded_away_from_zero_and_saturated(sail: Any, tmp_path: Path) -> None:
    # With a scale of 8 these are 0.5, -0.5, 1.5, 2.5, and far out on both sides.
    wanted = {0.0625: 1, -0.0625: -1, 0.1875: 2, 0.3125: 3, 1000.0: 127, -1000.0: -128, 3e9: 127, 0.0: 0, 15.8: 126}
    batch = images(1)
    batch.flat[: len(wanted)] = list(wanted)
    with SailEngine(write(tmp_path, given=INT8, given_scale=8.0)) as engine:
        assert engine.info.input_dtype == "float32"
        engine.run(batch)
    stored = sail.calls[0]["image"]
    assert stored.dtype == np.int8
    assert stored.flat[: len(wanted)].tolist() == list(wanted.values())


@pytest.mark.parametrize("scale", [0.0123, 1.0, 7.3, 127 / 2.64, 1e4])
def test_every_step_of_an_int8_input_is_met_whatever_the_scale(sail: Any, tmp_path: Path, scale: float) -> None:
    steps = np.arange(-128, 128, dtype=np.float64)
    batch = np.zeros((1, 3, 32, 32), np.float32)
    batch.flat[:256] = (steps + 0.3) / scale
    with SailEngine(write(tmp_path, given=INT8, given_scale=scale)) as engine:
        engine.run(batch)
    np.testing.assert_array_equal(sail.calls[0]["image"].flat[:256], steps)


def test_raw_pixels_reach_a_uint8_model_unchanged(sail: Any, tmp_path: Path) -> None:
    batch = images(2, dtype=np.uint8)
    with SailEngine(write(tmp_path, batch=2, given=UINT8)) as engine:
        assert engine.info.input_dtype == "uint8"
        engine.run(batch)
    assert sail.calls[0]["image"].dtype == np.uint8
    np.testing.assert_array_equal(sail.calls[0]["image"], batch)


@pytest.mark.parametrize("made", [INT8, UINT8])
def test_an_integer_output_comes_back_in_real_numbers(sail: Any, tmp_path: Path, made: int) -> None:
    with SailEngine(write(tmp_path, made=made, made_scale=0.25)) as engine:
        heads = engine.run(np.zeros((1, 3, 32, 32), np.float32))
    assert heads.dtype == np.float32
    np.testing.assert_array_equal(heads.flat[:5], [0, 0.25, 0.5, 0.75, 1])


def test_a_float16_output_comes_back_as_float32(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored = np.linspace(-9, 9, 2 * 7 * 8 * 8).astype(np.float16).reshape(2, 7, 8, 8)
    stored.flat[:3] = np.nan, np.inf, -np.inf
    monkeypatch.setattr(sail, "compute", lambda given: stored)
    with SailEngine(write(tmp_path, batch=2, given=UINT8, made=FLOAT16, made_scale=0.0)) as engine:
        heads = engine.run(images(2, dtype=np.uint8))
    assert heads.dtype == np.float32
    np.testing.assert_array_equal(heads, stored)


def test_a_result_stays_as_it_is_when_the_model_runs_again(sail: Any, tmp_path: Path) -> None:
    with SailEngine(write(tmp_path)) as engine:
        first = engine.run(images(1))
        before = first.copy()
        engine.run(images(1) + 1)
    np.testing.assert_array_equal(first, before)


def test_a_view_into_the_callers_array_is_left_as_it_was(sail: Any, tmp_path: Path) -> None:
    batch = images(1)
    mirrored = batch[:, :, :, ::-1]
    before = mirrored.copy()
    with SailEngine(write(tmp_path)) as engine:
        engine.run(mirrored)
    np.testing.assert_array_equal(mirrored, before)
    np.testing.assert_array_equal(sail.calls[0]["image"], before)


def test_nan_is_left_to_the_decoder(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sail, "compute", lambda stored: np.full((1, 7, 8, 8), np.nan))
    with SailEngine(write(tmp_path)) as engine:
        assert np.isnan(engine.run(images(1))).all()


def test_the_chip_of_the_chosen_device_counts(sail: Any, tmp_path: Path) -> None:
    sail.targets[:] = ["BM1684X", "BM1688"]
    with SailEngine(write(tmp_path, chip="BM1688"), device=1) as engine:
        assert engine.device == 1
        assert engine._loaded is not None and engine._loaded.engine.get_device_id() == 1
    sail.targets[:] = ["CV186AH"]
    with pytest.raises(ModelError, match="is for BM1688, but device 0 is a CV186X"):
        SailEngine(write(tmp_path, chip="BM1688"))


def test_a_chip_that_nobody_names_leaves_the_check_to_the_runtime(sail: Any, tmp_path: Path) -> None:
    sail.targets[:] = ["NOT 1684, 1684X, BM1688, or CV186AH !"]
    with SailEngine(write(tmp_path)) as engine:
        assert engine.info.chip == "BM1684X"


def test_the_scale_of_floats_means_nothing(sail: Any, tmp_path: Path) -> None:
    model, batch = write(tmp_path), images(1)
    with SailEngine(model) as engine:
        heads = engine.run(batch)
    sail.differs.update(input_scale=0.0, output_scale=0.0)
    with SailEngine(model) as engine:
        assert (engine.info.input.scale, engine.info.output.scale) == (0, 0)
        np.testing.assert_array_equal(engine.run(batch), heads)
    np.testing.assert_array_equal(sail.calls[1]["image"], batch)


def test_closing_lets_go_of_the_model_and_may_be_done_twice(sail: Any, tmp_path: Path) -> None:
    engine = SailEngine(write(tmp_path))
    assert engine._loaded is not None
    inner = weakref.ref(engine._loaded.engine)
    engine.close()
    engine.close()
    gc.collect()
    assert inner() is None
    with pytest.raises(EngineError, match="was closed"):
        engine.run(images(1))


@pytest.mark.compiler
@pytest.mark.parametrize("fused", [False, True], ids=["float input, batch 1", "raw pixels, batch 4"])
def test_what_the_compiler_makes_gives_what_the_simulator_gives(
    sail: Any, compiled: CompiledModels, fused: bool
) -> None:
    model = compiled.fused_bmodel if fused else compiled.bmodel
    batch = images(3, side=INPUT, dtype=np.uint8 if fused else np.float32)
    sail.targets[:] = ["BM1688"]
    with SimulatorEngine(model, python=compiled.python) as simulator, SailEngine(model) as engine:
        assert engine.info.input == simulator.info.input
        assert (engine.info.output, engine.info.input_dtype) == (simulator.info.output, simulator.info.input_dtype)
        sail.compute = simulator.run
        np.testing.assert_array_equal(engine.run(batch), simulator.run(batch))
