"""The device's engine where the model, the device or the vendor's module is not what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.engines.sail import SailEngine
from inference.errors import EngineError, EngineNotFound, ModelError, OptionError
from tests.inference.sail_files import FLOAT16, INT8, images, write


@pytest.mark.parametrize(
    "heads, words",
    [
        (np.zeros((1, 7, 8, 9), np.float32), r"float32 \[1, 7, 8, 9\] instead of the model's float32 \[1, 7, 8, 8\]"),
        (np.zeros((1, 7, 8, 8), np.int8), r"int8 \[1, 7, 8, 8\] instead of the model's float32"),
        (None, r"object \[\] instead of the model's float32"),
    ],
)
def test_an_engine_that_returns_something_else_is_an_error(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heads: Any, words: str
) -> None:
    monkeypatch.setattr(sail.Tensor, "asnumpy", lambda tensor: heads)
    with SailEngine(write(tmp_path)) as engine, pytest.raises(ModelError, match=f"returned {words}"):
        engine.run(images(1))


def test_a_device_without_memory_for_input_and_output_is_an_error(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*given: Any) -> None:
        raise sail.SailTensorError("bm_malloc_device_byte failed")

    monkeypatch.setattr(sail.Tensor, "__init__", fail)
    with pytest.raises(EngineError, match=r"device 0 has no tensors .* bm_malloc_device_byte failed"):
        SailEngine(write(tmp_path))


def test_a_failure_of_sail_is_an_engine_error_that_names_the_device(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*given: Any) -> None:
        raise sail.SailEngineError("Engine related error")

    monkeypatch.setattr(sail.Engine, "process", fail)
    with SailEngine(write(tmp_path)) as engine, pytest.raises(EngineError, match="device 0: Engine related error"):
        engine.run(images(1))


def test_a_model_for_another_chip_is_refused_before_it_is_loaded_naming_both(sail: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is for BM1688, but device 0 is a BM1684X"):
        SailEngine(write(tmp_path, chip="BM1688"))
    assert sail.loaded == []


def test_a_wish_for_a_chip_is_checked_against_the_file(sail: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is for BM1684X, not for BM1688"):
        SailEngine(write(tmp_path), chip="BM1688")


def test_a_device_that_does_not_exist_is_an_error(sail: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="device 3 cannot be opened: init device failure"):
        SailEngine(write(tmp_path), device=3)


@pytest.mark.parametrize(
    "target, words",
    [
        ("BM1684X", "Likely causes: the runtime is older than"),
        ("Error", "Likely causes: the device is no BM1684X .sail calls it 'Error'"),
    ],
)
def test_a_runtime_that_refuses_the_model_is_an_engine_error(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, words: str
) -> None:
    sail.targets[:] = [target]

    def refuse(*given: Any) -> None:
        raise sail.SailEngineError("invalid bmodel")

    monkeypatch.setattr(sail.Engine, "__init__", refuse)
    with pytest.raises(EngineError, match=f"device 0 does not load .*: invalid bmodel. {words}"):
        SailEngine(write(tmp_path))


def test_without_sail_the_engine_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound, match="install the sophon-sail wheel"):
        SailEngine(write(tmp_path))


@pytest.mark.parametrize(
    "differs, words",
    [
        ({"input_name": "data"}, "the input's name is data to sail and image in the file"),
        ({"output_shape": [1, 7, 8, 16]}, r"the output's shape is \[1, 7, 8, 16\] to sail"),
        ({"input_dtype": "BM_UINT8"}, "the input's type is uint8 to sail and float32"),
        ({"output_dtype": "BM_FLOAT16"}, "the output's type is float16 to sail"),
        ({"graphs": ["other"]}, "the network's name is other to sail and tiny"),
    ],
)
def test_a_runtime_that_understands_the_file_otherwise_is_refused(
    sail: Any, tmp_path: Path, differs: Any, words: str
) -> None:
    sail.differs.update(differs)
    with pytest.raises(ModelError, match=words):
        SailEngine(write(tmp_path))


def test_another_scale_than_the_files_is_refused(sail: Any, tmp_path: Path) -> None:
    model = write(tmp_path, given=INT8, given_scale=8.0)
    sail.differs["input_scale"] = 8.001
    with pytest.raises(ModelError, match=r"the input's scale is 8.001\d* to sail and 8 in the file"):
        SailEngine(model)


@pytest.mark.parametrize(
    "what, words",
    [
        ({"given": FLOAT16}, "takes float16"),
        ({"given": INT8, "given_scale": 8.0, "given_zero": 3}, "zero point 3, which sail cannot feed"),
        ({"given": INT8, "given_scale": 0.0}, "takes int8 with scale 0 "),
        ({"made": INT8, "made_scale": 0.1, "made_zero": -5}, "zero point -5, which sail cannot read back"),
        ({"inputs": ("a", "b")}, "1 networks, 2 inputs and 1 outputs"),
        ({"classes": 0}, "no CenterNet with one head tensor"),
    ],
)
def test_a_model_that_sail_would_run_wrongly_is_refused(sail: Any, tmp_path: Path, what: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        SailEngine(write(tmp_path, **what))


def test_a_batch_for_another_model_is_refused(sail: Any, tmp_path: Path) -> None:
    with SailEngine(write(tmp_path)) as engine, pytest.raises(OptionError, match=r"takes float32 \[N, 3, 32, 32\]"):
        engine.run(images(1, side=64))


def test_a_damaged_file_never_reaches_the_runtime(sail: Any, tmp_path: Path) -> None:
    model = write(tmp_path)
    data = bytearray(model.read_bytes())
    data[-600] ^= 1  # in the weights
    model.write_bytes(bytes(data))
    with pytest.raises(ModelError, match=r"the weights in .* are not those"):
        SailEngine(model)
    model.write_bytes(bytes(data[:-1]))
    with pytest.raises(ModelError, match="not a sound bmodel"):
        SailEngine(model)
    assert sail.loaded == []
