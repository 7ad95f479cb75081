"""No command outlives whoever asked for it, however that one ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.toolchain import guard
from tests.tasks.toolchain.fakes import PATIENCE_S, FakeToolchain, wait_until_gone

GUARD = [sys.executable, "-I", "-S", str(Path(guard.__file__))]
CALLER = """
import sys
from pathlib import Path
from artifacts.release import Variant
from tasks.toolchain import command
from tasks.toolchain.model import Toolchain
from tasks.toolchain.run import run
toolchain = Toolchain.model_validate_json(sys.argv[1])
planned = command.lower(Variant(chip="BM1688", precision="fp32", batch=1), quantize_table=False, timeout_s=300)
run(planned, toolchain, Path(sys.argv[2]), Path(sys.argv[2], "log"))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_whole_tree_ends_with_the_process_that_called_run(
    fake: FakeToolchain, tmp_path: Path, number: signal.Signals
) -> None:
    fake.behave(tree={"seconds": 600}, hangs=True)
    argv = [sys.executable, "-c", CALLER, fake.toolchain.model_dump_json(), str(tmp_path)]
    with subprocess.Popen(argv, cwd=Path(guard.__file__).parents[2], stderr=subprocess.DEVNULL) as caller:
        try:
            pids = fake.wait_for_pids(3)
        finally:
            caller.send_signal(number)
    assert wait_until_gone(pids)


def test_the_command_ends_with_its_guard(fake: FakeToolchain, tmp_path: Path) -> None:
    fake.behave(tree={"seconds": 600, "depth": 0}, hangs=True)
    argv = [*GUARD, str(os.getpid()), str(fake.root / "bin" / "model_deploy")]
    with subprocess.Popen(argv, cwd=tmp_path) as process:
        pids = fake.wait_for_pids(1)
        process.kill()
    assert wait_until_gone(pids)


def test_a_request_to_stop_is_not_lost_at_whatever_moment_it_comes(tmp_path: Path) -> None:
    chance = random.Random(0)
    mark = f"guard-test-{os.getpid()}"
    for _ in range(12):
        command = [sys.executable, "-ISc", "import time; time.sleep(600)", mark]
        with subprocess.Popen([*GUARD, str(os.getpid()), *command], cwd=tmp_path) as process:
            time.sleep(chance.uniform(0.0, 0.12))
            process.terminate()
            # Before it could ask not to be ended, it has started nothing.
            assert process.wait(PATIENCE_S) in (-signal.SIGTERM, 128 + signal.SIGTERM)
        left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _text(path)]
        assert not left


def test_nothing_is_started_for_a_caller_that_is_gone(tmp_path: Path) -> None:
    done = subprocess.run([*GUARD, "1", "/bin/touch", str(tmp_path / "started")], check=False, timeout=PATIENCE_S)
    assert done.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "started").exists()


def test_the_exit_status_is_passed_on(tmp_path: Path) -> None:
    for script, expected in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)):
        argv = [*GUARD, str(os.getpid()), sys.executable, "-ISc", script]
        assert subprocess.run(argv, cwd=tmp_path, check=False, timeout=PATIENCE_S).returncode == expected


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
