"""How a worker's process ends: by its own fault, by its client's wish, or with the client."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from inference.engines import worker as worker_module
from inference.engines.worker import WorkerProcess
from inference.errors import EngineError
from tests.inference.conftest import write_mlir
from tests.inference.fake_toolchain.pymlir import CRASH, HANG
from tests.inference.workers import PARENT, ROOT, batch_of, is_alive, wait_until_gone


@pytest.fixture
def doomed(fake_python: Path, mlir: Path, tmp_path: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(fake_python, mlir, log=tmp_path / "log", timeout_s=20) as process:
        yield process


def test_an_abort_is_an_error_with_the_signal_the_last_words_and_the_log(doomed: WorkerProcess) -> None:
    with pytest.raises(EngineError) as caught:
        doomed.run(batch_of(CRASH))
    assert "SIGABRT" in str(caught.value) and "UNREACHABLE executed at Module.cpp:1" in str(caught.value)
    assert caught.value.log == doomed.log and str(doomed.log) in str(caught.value)
    with pytest.raises(EngineError, match="start another"):
        doomed.run(batch_of(1))


def test_a_run_that_takes_too_long_ends_the_worker(doomed: WorkerProcess) -> None:
    pid = doomed.pid
    with pytest.raises(EngineError, match=r"within 0\.3 s"):
        doomed.run(batch_of(HANG), timeout_s=0.3)
    assert not is_alive(pid)
    with pytest.raises(EngineError, match="start another"):
        doomed.run(batch_of(1))


def test_a_worker_that_ignores_termination_is_killed(
    fake_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_GRACE_S", 0.1)
    path = write_mlir(tmp_path / "stubborn.mlir", "1x3x4x4xf32")
    path.write_text(path.read_text() + "// ignores SIGTERM\n")
    with WorkerProcess(fake_python, path, log=tmp_path / "log") as process:
        with pytest.raises(EngineError, match="within"):
            process.run(batch_of(HANG), timeout_s=0.3)
        assert not is_alive(process.pid)


def test_closing_ends_the_process_and_can_be_done_twice(fake_python: Path, mlir: Path, tmp_path: Path) -> None:
    process = WorkerProcess(fake_python, mlir, log=tmp_path / "log")
    process.close()
    process.close()
    assert not is_alive(process.pid)


def test_closing_from_another_thread_ends_a_call_that_is_under_way(doomed: WorkerProcess) -> None:
    closer = threading.Timer(0.3, doomed.close)
    closer.start()
    with pytest.raises(EngineError, match="was killed by SIGTERM"):
        doomed.run(batch_of(HANG))
    closer.join()
    assert not is_alive(doomed.pid)


@pytest.mark.parametrize("first", [HANG, 1.0], ids=["inside C code that holds the interpreter lock", "idle"])
def test_a_worker_dies_with_a_parent_that_is_killed(
    fake_python: Path, mlir: Path, tmp_path: Path, first: float
) -> None:
    arguments = [str(fake_python), str(mlir), str(tmp_path / "log"), str(first)]
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=str(ROOT),
    )
    assert parent.stdout is not None and parent.stdin is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_gone(pid)
    parent.stdout.close()
    parent.stdin.close()


def test_a_worker_outlives_the_thread_that_started_it(fake_python: Path, mlir: Path, tmp_path: Path) -> None:
    started: List[WorkerProcess] = []
    thread = threading.Thread(target=lambda: started.append(WorkerProcess(fake_python, mlir, log=tmp_path / "log")))
    thread.start()
    thread.join()
    time.sleep(0.2)
    with started[0] as process:
        assert process.run(batch_of(3))["heads"].flat[0] == 6


def test_no_descriptor_is_left_open(fake_python: Path, mlir: Path, tmp_path: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    closed = [WorkerProcess(fake_python, mlir, log=tmp_path / "log") for _ in range(2)]
    for process in closed:
        process.close()
    with pytest.raises(EngineError):
        WorkerProcess(tmp_path / "none", mlir, log=tmp_path / "log")
    assert sorted(Path("/proc/self/fd").iterdir()) == before
