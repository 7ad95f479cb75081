"""Fixtures of the device side: engines of every kind, a small release, photographs, compiled models."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import cv2
import numpy as np
import pytest

from inference import detector as detector_module
from inference.engines.locate import simulator_python
from inference.errors import EngineNotFound
from tests.inference.engine_in_memory import SPEC, VARIANT, EngineInMemory
from tests.inference.releases import write_release
from tests.inference.sail_files import STAND_IN
from tests.inference.streams import WAIT_S, running

FAKES = Path(__file__).parent / "fake_toolchain"

INPUT = 64
"""Side of the compiled models' input; they have 3 classes and an output of 16 x 16."""


@pytest.fixture(scope="session")
def fake_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter whose tpu_mlir and pymlir are those of fake_toolchain/."""
    script = tmp_path_factory.mktemp("fake") / "python"
    # The first argument is -I, which would hide PYTHONPATH.
    script.write_text(f'#!/bin/sh\nshift\nPYTHONPATH="{FAKES}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def mlir(tmp_path: Path) -> Path:
    """A model for the stand-in: float32 [1, 3, 4, 4] in, the same doubled out."""
    return write_mlir(tmp_path / "model.mlir")


def write_mlir(path: Path, tensor: str = "1x3x4x4xf32") -> Path:
    path.write_text(f"module {{\n  func.func @main(%arg0: tensor<{tensor}> loc(unknown)) -> tensor<{tensor}> {{\n")
    return path


@pytest.fixture
def sail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in for the vendor's module, with one BM1684X, as if the SDK had installed it."""
    forget_sophon()
    monkeypatch.syspath_prepend(str(STAND_IN))
    yield importlib.import_module("sophon.sail")
    forget_sophon()


def forget_sophon() -> None:
    """Let the next import of ``sophon`` begin anew."""
    for name in [name for name in sys.modules if name.split(".", maxsplit=1)[0] == "sophon"]:
        del sys.modules[name]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> EngineInMemory:
    """The engine in memory, which every detector gets."""
    engine = EngineInMemory(VARIANT, SPEC)
    monkeypatch.setattr(detector_module, "_open_engine", lambda model, python: engine)
    return engine


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release of one model, for the engine in memory."""
    return write_release(tmp_path / "release", {VARIANT: b"compiled"}, spec=SPEC)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of three images and something else."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, size in (("000000000139.jpg", (128, 128)), ("000000000632.png", (600, 700)), ("7.BMP", (64, 64))):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), image)[1].tobytes())
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Asserts that whatever ran has ended its threads when it returns."""
    yield
    assert running() == []


@pytest.fixture
def threads_end() -> Iterator[None]:
    """Asserts that all threads end, be it when the last one lets go of the iterator."""
    yield
    deadline = time.monotonic() + WAIT_S
    while running() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert running() == []


class CompiledModels(NamedTuple):
    """A tiny network as the real compiler compiles it, in float32.

    Attributes:
        python: The compiler environment's Python.
        torchscript: The network, float32 [N, 3, 64, 64] to [N, 7, 16, 16].
        mlir: Batch 1, BM1688, for the interpreter.
        bmodel: Batch 1, BM1688.
        other_chip: Batch 1, BM1684X.
        fused_mlir: Batch 4, BM1688, taking raw pixels, for the interpreter.
        fused_bmodel: Batch 4, BM1688, taking raw pixels.
    """

    python: Path
    torchscript: Path
    mlir: Path
    bmodel: Path
    other_chip: Path
    fused_mlir: Path
    fused_bmodel: Path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> CompiledModels:
    """Compile the tiny network, once a session."""
    python = _compiler()
    torch = pytest.importorskip("torch", reason="the tiny network is traced with torch")
    root = tmp_path_factory.mktemp("compiled")
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 7, 3, 2, 1)]
    network = torch.nn.Sequential(*layers).eval()
    torchscript = root / "net.pt"
    torch.jit.trace(network, torch.zeros(1, 3, INPUT, INPUT)).save(str(torchscript))
    for batch in (1, 4):
        _transform(python, torchscript, root / f"top{batch}", batch)
    one = _deploy(python, root / "top1", root / "one", "bm1688")
    other = _deploy(python, root / "top1", root / "other", "bm1684x")
    planar = ["--fuse_preprocess", "--customization_format", "BGR_PLANAR"]
    four = _deploy(python, root / "top4", root / "four", "bm1688", *planar)
    return CompiledModels(
        python=python,
        torchscript=torchscript,
        mlir=one / "net_bm1688_f32_tpu.mlir",
        bmodel=one / "net.bmodel",
        other_chip=other / "net.bmodel",
        fused_mlir=four / "net_bm1688_f32_tpu.mlir",
        fused_bmodel=four / "net.bmodel",
    )


def _compiler() -> Path:
    """The compiler's Python; installs it where only the build's packages are, skips where not even they are."""
    try:
        return simulator_python()
    except EngineNotFound as error:
        if importlib.util.find_spec("prefect") is None:
            pytest.skip(str(error))
    from settings.sections import ToolchainSettings
    from tasks.toolchain.provision import cache_root, provision

    settings = ToolchainSettings()
    return Path(provision(settings.version, root=cache_root(), python=settings.python).python)


def _transform(python: Path, torchscript: Path, folder: Path, batch: int) -> None:
    # CenterNet's mean and std in the compiler's terms: 255 * mean, 1 / (255 * std).
    preprocessing = ["--mean", "104.04,113.985,119.85", "--scale", "0.013569442,0.014312294,0.014106362"]
    shape = f"[[{batch},3,{INPUT},{INPUT}]]"
    model = ["--model_name", "net", "--model_def", str(torchscript), "--input_shapes", shape, "--mlir", "net.mlir"]
    _tool(python, folder, "model_transform", *model, *preprocessing, "--pixel_format", "bgr")


def _deploy(python: Path, top: Path, folder: Path, chip: str, *options: str) -> Path:
    folder.mkdir()
    for path in [*top.glob("*.mlir"), *top.glob("*.npz")]:
        (folder / path.name).symlink_to(path)
    # --debug keeps the weights that the interpreter needs.
    common = ["--mlir", "net.mlir", "--chip", chip, "--quantize", "F32", "--debug", "--model", "net.bmodel"]
    _tool(python, folder, "model_deploy", *common, *options)
    return folder


def _tool(python: Path, folder: Path, name: str, *arguments: str) -> None:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(python.parent / name), *arguments],
        cwd=str(folder),
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
