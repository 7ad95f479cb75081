"""The real simulator and interpreter, on a tiny network that the real compiler has compiled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec, Variant
from inference import Detector
from inference.__main__ import main
from inference.engines.locate import PYTHON_VARIABLE
from inference.engines.simulator import SimulatorEngine
from inference.engines.worker import WorkerProcess
from inference.errors import EngineNotFound, ModelError, OptionError
from inference.preprocess import preprocess
from tests.inference.conftest import INPUT, CompiledModels
from tests.inference.releases import write_release
from tests.inference.workers import PARENT, ROOT, is_alive, wait_until_gone

pytestmark = pytest.mark.compiler

PLAIN = PreprocessSpec(width=INPUT, height=INPUT)
FUSED = PreprocessSpec(width=INPUT, height=INPUT, fused=True)
CLOSE = 1e-4  # float32 arithmetic in another order, outputs of about 1


def photograph(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def reference(compiled: CompiledModels, batch: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        heads: np.ndarray = torch.jit.load(str(compiled.torchscript))(torch.from_numpy(batch)).numpy()
    return heads


def test_interpreter_and_simulator_give_what_torch_gives(compiled: CompiledModels, tmp_path: Path) -> None:
    batch = preprocess(photograph(1), PLAIN)[None]
    expected = reference(compiled, batch)
    for model in (compiled.mlir, compiled.bmodel):
        with WorkerProcess(compiled.python, model, log=tmp_path / "log") as worker:
            assert worker.input.shape == (1, 3, INPUT, INPUT) and worker.input.dtype == "float32"
            for _ in range(2):
                (heads,) = worker.run(batch).values()
                np.testing.assert_allclose(heads, expected, atol=CLOSE)


def test_two_chips_run_side_by_side(compiled: CompiledModels) -> None:
    batch = preprocess(photograph(2), PLAIN)[None]
    with SimulatorEngine(compiled.bmodel) as one, SimulatorEngine(compiled.other_chip) as other:
        assert (one.info.chip, other.info.chip) == ("BM1688", "BM1684X")
        np.testing.assert_allclose(one.run(batch), other.run(batch), atol=CLOSE)


def test_a_model_of_four_raw_images_takes_five(compiled: CompiledModels) -> None:
    images = [photograph(seed) for seed in range(5)]
    raw = np.stack([preprocess(image, FUSED) for image in images])
    expected = reference(compiled, np.stack([preprocess(image, PLAIN) for image in images]))
    with SimulatorEngine(compiled.fused_bmodel) as engine:
        assert engine.info.batch == 4 and engine.info.input_dtype == "uint8"
        np.testing.assert_allclose(engine.run(raw), expected, atol=CLOSE)


def test_the_interpreter_takes_raw_pixels_too(compiled: CompiledModels, tmp_path: Path) -> None:
    raw = np.stack([preprocess(photograph(seed), FUSED) for seed in range(4)])
    plain = np.stack([preprocess(photograph(seed), PLAIN) for seed in range(4)])
    with WorkerProcess(compiled.python, compiled.fused_mlir, log=tmp_path / "log") as worker:
        assert worker.input.dtype == "uint8"
        (heads,) = worker.run(raw).values()
    np.testing.assert_allclose(heads, reference(compiled, plain), atol=CLOSE)


def test_a_packed_batch_of_the_same_size_is_refused_though_the_runtime_would_take_it(compiled: CompiledModels) -> None:
    packed = np.zeros((1, INPUT, INPUT, 3), np.uint8)
    with SimulatorEngine(compiled.fused_bmodel) as engine, pytest.raises(OptionError, match="takes uint8"):
        engine.run(packed)


def test_a_model_for_another_chip_is_refused_naming_both(
    compiled: CompiledModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ModelError, match=r"is for BM1688, not for BM1684X"):
        SimulatorEngine(compiled.bmodel, chip="BM1684X")
    assert not list(tmp_path.iterdir())


def test_weights_that_changed_are_refused(compiled: CompiledModels, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    data = bytearray(compiled.bmodel.read_bytes())
    *_, bias = torch.jit.load(str(compiled.torchscript)).parameters()
    data[data.index(bias.detach().numpy().tobytes())] ^= 1
    (tmp_path / "bad.bmodel").write_bytes(data)
    with pytest.raises(ModelError, match="weights"):
        SimulatorEngine(tmp_path / "bad.bmodel")


def test_an_mlir_file_is_no_model_for_the_simulator(compiled: CompiledModels) -> None:
    with pytest.raises(ModelError, match="no bmodel"):
        SimulatorEngine(compiled.mlir)


def test_the_log_is_gone_after_a_run_without_failure(
    compiled: CompiledModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with SimulatorEngine(compiled.bmodel) as engine:
        assert list(tmp_path.glob("centernet-simulator-*.log"))
        engine.run(np.zeros((1, 3, INPUT, INPUT), np.float32))
    assert not list(tmp_path.iterdir())


def test_a_simulator_dies_with_a_parent_that_is_killed(compiled: CompiledModels, tmp_path: Path) -> None:
    code = textwrap.dedent(PARENT).replace("(1, 3, 4, 4)", f"(1, 3, {INPUT}, {INPUT})")
    code = code.replace("process.run(batch)", "while True: process.run(batch)")
    arguments = [str(compiled.python), str(compiled.other_chip), str(tmp_path / "log"), "0"]
    parent = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, cwd=str(ROOT))
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_gone(pid)
    parent.stdout.close()


def test_a_released_model_detects_on_the_command_line(compiled: CompiledModels, tmp_path: Path) -> None:
    variant = Variant(chip="BM1688", precision="fp32", batch=4)
    release = write_release(tmp_path / "release", {variant: compiled.fused_bmodel.read_bytes()}, spec=FUSED)
    (tmp_path / "in").mkdir()
    for seed in range(2):
        cv2.imwrite(str(tmp_path / "in" / f"{seed}.png"), photograph(seed))
    (tmp_path / "in" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    paths = ["--model", str(release), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main(["detect", *paths, "--conf", "0.1", "--chip", "BM1688"]) == 1
    entries = json.loads((tmp_path / "out" / "detections.json").read_text())
    with Detector(release, conf=0.1) as detect:
        found = [detect(photograph(seed)) for seed in range(2)]
    assert len(entries) == sum(map(len, found)) > 0
    assert entries[0]["score"] == pytest.approx(float(found[0].scores[0]), abs=1e-5)


def test_without_a_compiler_environment_the_detector_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path))
    release = write_release(tmp_path / "r", {Variant(chip="BM1688", precision="fp32", batch=1): b"x"}, spec=PLAIN)
    with pytest.raises(EngineNotFound, match="make build"):
        Detector(release)
