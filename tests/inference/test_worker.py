"""The worker and its client, with a stand-in for the vendor's interpreter inside a real process."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from artifacts.errors import NoSpace
from inference.engines.worker import WorkerProcess
from inference.errors import EngineError, ModelError, OptionError
from tests.inference.conftest import write_mlir
from tests.inference.fake_toolchain.pymlir import CHATTER, FAIL, FLOOD
from tests.inference.workers import batch_of


@pytest.fixture(scope="module")
def worker(fake_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    folder = tmp_path_factory.mktemp("worker")
    with WorkerProcess(fake_python, write_mlir(folder / "model.mlir"), log=folder / "log", timeout_s=20) as process:
        yield process


def test_a_batch_goes_through_the_model_again_and_again(worker: WorkerProcess) -> None:
    assert worker.input == ("data", (1, 3, 4, 4), "float32")
    assert worker.output_names == ("heads",)
    for value in range(5):
        outputs = worker.run(batch_of(value))
        assert list(outputs) == ["heads"] and outputs["heads"].dtype == np.float32
        np.testing.assert_array_equal(outputs["heads"], batch_of(value) * 2)


def test_a_batch_larger_than_the_pipes_arrives_whole(fake_python: Path, tmp_path: Path) -> None:
    path = write_mlir(tmp_path / "large.mlir", "4x3x300x300xf32")
    with WorkerProcess(fake_python, path, log=tmp_path / "log") as process:
        batch = batch_of(0, (4, 3, 300, 300))
        np.testing.assert_array_equal(process.run(batch)["heads"], batch * 2)


def test_a_model_of_raw_pixels_takes_uint8(fake_python: Path, tmp_path: Path) -> None:
    path = write_mlir(tmp_path / "fused.mlir", "1x3x4x4xui8")
    with WorkerProcess(fake_python, path, log=tmp_path / "log") as process:
        assert process.input.dtype == "uint8"
        pixels = np.full((1, 3, 4, 4), 250, np.uint8)
        np.testing.assert_array_equal(process.run(pixels)["heads"], np.full((1, 3, 4, 4), 500, np.float32))


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((2, 3, 4, 4), np.float32),
        np.zeros((48,), np.float32),
        np.zeros((1, 3, 4, 4), np.float64),
        np.zeros((1, 3, 4, 4), np.uint8),
    ],
    ids=["packed", "two images", "flat", "float64", "uint8"],
)
def test_a_batch_of_another_shape_or_dtype_is_refused_and_the_worker_goes_on(
    worker: WorkerProcess, batch: np.ndarray
) -> None:
    with pytest.raises(OptionError, match=r"takes float32 \[1, 3, 4, 4\]"):
        worker.run(batch)
    assert worker.run(batch_of(1))["heads"].shape == (1, 3, 4, 4)


def test_an_exception_in_the_model_is_reported_and_the_worker_goes_on(worker: WorkerProcess) -> None:
    with pytest.raises(EngineError, match="RuntimeError: not enough memory"):
        worker.run(batch_of(FAIL))
    assert worker.run(batch_of(1))["heads"].shape == (1, 3, 4, 4)


def test_what_the_model_prints_goes_to_the_log_and_not_between_the_answers(worker: WorkerProcess) -> None:
    np.testing.assert_array_equal(worker.run(batch_of(CHATTER))["heads"], batch_of(CHATTER) * 2)
    assert "printed by C++" in worker.log.read_text()


def test_a_flood_of_output_blocks_nobody(worker: WorkerProcess) -> None:
    worker.run(batch_of(FLOOD))
    assert worker.log.stat().st_size >= 1_000_000


def test_calls_from_several_threads_get_their_own_answers(worker: WorkerProcess) -> None:
    wrong: List[float] = []

    def ask(value: float) -> None:
        for _ in range(20):
            if worker.run(batch_of(value))["heads"].flat[0] != 2 * value:
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(float(value),)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_model_that_loads_too_slowly_is_given_up(fake_python: Path, mlir: Path, tmp_path: Path) -> None:
    mlir.write_text(mlir.read_text() + "// hangs at load\n")
    with pytest.raises(EngineError, match=r"has not loaded its model within 0\.5 s"):
        WorkerProcess(fake_python, mlir, log=tmp_path / "log", start_timeout_s=0.5)


def test_a_model_that_cannot_be_loaded_is_named(fake_python: Path, mlir: Path, tmp_path: Path) -> None:
    mlir.write_text(mlir.read_text() + "// fails at load\n")
    with pytest.raises(ModelError, match=r"model\.mlir cannot be loaded: RuntimeError: unknown operation"):
        WorkerProcess(fake_python, mlir, log=tmp_path / "log")


@pytest.mark.parametrize(
    "tensors, words",
    [
        ("1x3x4x4xbf16", "element type bf16"),
        ("*xf32", "no main function"),
        ("1x3x4x4xf32> loc(1), %arg1: tensor<2xf32", "2 inputs"),
    ],
)
def test_an_input_that_is_not_supported_is_an_error(
    fake_python: Path, tmp_path: Path, tensors: str, words: str
) -> None:
    path = write_mlir(tmp_path / "odd.mlir", tensors)
    with pytest.raises(ModelError, match=words):
        WorkerProcess(fake_python, path, log=tmp_path / "log")


def test_a_log_that_finds_no_space_is_told_as_that(
    fake_python: Path, mlir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "log":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(NoSpace):
        WorkerProcess(fake_python, mlir, log=tmp_path / "log")


def test_a_python_that_is_not_there_is_an_error(mlir: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be started"):
        WorkerProcess(tmp_path / "nowhere" / "python", mlir, log=tmp_path / "log")


def test_a_python_without_the_compiler_is_an_error_that_says_so(mlir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No module named 'tpu_mlir'"):
        WorkerProcess(Path(sys.executable), mlir, log=tmp_path / "log")


def test_a_program_that_speaks_something_else_is_an_error(mlir: Path, tmp_path: Path) -> None:
    impostor = tmp_path / "impostor"
    impostor.write_text("#!/bin/sh\necho hello, this is no worker\nexec sleep 60\n")
    impostor.chmod(0o755)
    with pytest.raises(EngineError, match="sent what is no answer"):
        WorkerProcess(impostor, mlir, log=tmp_path / "log")


def test_a_program_that_ends_at_once_is_an_error_with_its_status(mlir: Path, tmp_path: Path) -> None:
    impostor = tmp_path / "impostor"
    impostor.write_text("#!/bin/sh\necho no licence >&2\nexit 7\n")
    impostor.chmod(0o755)
    with pytest.raises(EngineError, match=r"exit status 7 before it had loaded its model(.|\n)*no licence"):
        WorkerProcess(impostor, mlir, log=tmp_path / "log")


def test_a_missing_model_is_named(fake_python: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        WorkerProcess(fake_python, tmp_path / "none.bmodel", log=tmp_path / "log")


def test_missing_weights_are_named_before_the_interpreter_aborts_on_them(
    fake_python: Path, mlir: Path, tmp_path: Path
) -> None:
    mlir.write_text('module attributes {module.weight_file = "net_weights.npz"} {\n' + mlir.read_text())
    with pytest.raises(ModelError, match=r"needs its weights net_weights\.npz"):
        WorkerProcess(fake_python, mlir, log=tmp_path / "log")
    (tmp_path / "net_weights.npz").touch()
    WorkerProcess(fake_python, mlir, log=tmp_path / "log").close()


def test_a_bmodel_that_was_cut_short_is_refused(fake_python: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.bmodel").write_bytes(b"\xee\xaa\x55\xff" + bytes(60))
    with pytest.raises(ModelError, match=r"cut\.bmodel is not a sound bmodel"):
        WorkerProcess(fake_python, tmp_path / "cut.bmodel", log=tmp_path / "log")


def test_the_workers_threads_are_pinned_whatever_the_environment_says(
    fake_python: Path, mlir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with WorkerProcess(fake_python, mlir, log=tmp_path / "log", environment={"EXTRA": "yes"}) as process:
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert b"OMP_NUM_THREADS=2" in variables and b"EXTRA=yes" in variables
    assert b"OMP_WAIT_POLICY=PASSIVE" in variables


def test_the_vendors_code_gets_no_secret_of_ours(
    fake_python: Path, mlir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CENTERNET_REGISTRY_PASSWORD", "CENTERNET_KEY_PASSPHRASE", "UV_INDEX_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    with WorkerProcess(fake_python, mlir, log=tmp_path / "log") as process:
        variables = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"canary" not in variables and b"PATH=" in variables
