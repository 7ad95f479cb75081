"""Watchdogs.

What a build or a device waits for stops answering: the compiler, its interpreter, Prefect's server, the Dask scheduler,
a device and its agent, the chip. Each has to end at a limit, with an error that says which, with nothing left running;
limits are shortened (an hour to a second or two) so that it can be tried often.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.engines.worker import WorkerProcess
from inference.errors import EngineError
from tasks.devices import link
from tasks.errors import ConnectionLost
from tests.flows.cluster.test_frozen import (
    test_a_step_does_not_wait_for_ever_for_a_frozen_scheduler as frozen_scheduler,
)
from tests.flows.frozen import descendants, frozen_in
from tests.flows.tiny import TinyBuild
from tests.inference import hanging
from tests.inference.conftest import fake_python, write_mlir
from tests.inference.fake_toolchain.pymlir import HANG
from tests.inference.workers import batch_of
from tests.reliability.trials import NOTHING, Trials
from tests.tasks.devices.sshd import sshd
from tests.tasks.devices.support import Bench, StandIn, found, local_device, made, ssh_device, validated
from tests.tasks.toolchain.fakes import is_alive, wait_until_gone
from tests.tasks.toolchain.hangs import KINDS, hang

__all__ = ["fake_python", "found", "made"]
PACKAGES = ("prefect", "distributed")


def told(lost: list[str]) -> str:
    assert lost == [], "\n".join(lost)
    return NOTHING


def try_compilers_that_hang(trials: Trials, tmp_path: Path) -> None:
    lost, longest = [], 0.0
    for kind in KINDS:
        for number in range(3):
            seconds, wrong = hang(tmp_path / f"{len(lost)}-{number}-{kind[:9]}", kind, limit_s=2.0)
            longest = max(longest, seconds)
            lost += [f"{kind}: {one}" for one in wrong]
    assert longest < 30
    trials.tried(
        "a command of the compiler that hangs",
        3 * len(KINDS),
        told(lost),
        f"{'; '.join(KINDS)}. Limit 2 s, over within {longest:.1f} s, log kept, no process left. A build tries such a "
        "command once more, as the machine may have been busy, and fails the second time",
    )


def try_interpreters_that_hang(trials: Trials, tmp_path: Path, fake_python: Path) -> None:
    lost, longest, times = [], 0.0, 0
    for comment in ("", "// ignores SIGTERM\n", "// hangs at load\n"):
        for number in range(3):
            folder = tmp_path / f"{times}"
            folder.mkdir()
            path = write_mlir(folder / "model.mlir", "1x3x4x4xf32")
            path.write_text(path.read_text() + comment)
            started, pid = time.monotonic(), 0
            try:
                start_s = 1.0 if "load" in comment else 60.0
                with WorkerProcess(fake_python, path, log=folder / "log", start_timeout_s=start_s) as worker:
                    pid = worker.pid
                    worker.run(batch_of(HANG), timeout_s=0.5)
                lost.append(f"{comment}: it was taken for an answer")
            except EngineError as error:
                if "within" not in str(error):
                    lost.append(f"{comment} {number}: {error}")
            if pid and is_alive(pid):
                lost.append(f"{comment}: the worker is still there")
            longest, times = max(longest, time.monotonic() - started), times + 1
    trials.tried(
        "an interpreter or simulator that hangs on an image, ignores the request to end, or never loads",
        times,
        told(lost),
        f"inside C code that holds Python's lock; over within {longest:.1f} s. Not tried again: the build fails and "
        "says which model and where its log is",
    )


def try_chips_that_hang(trials: Trials, tmp_path: Path) -> None:
    lost, longest, times = [], 0.0, 0
    for number, (where, answered, sent) in enumerate(
        [("run", 0, 0), ("run", 2, 0), ("load", 0, 0)] * 2
        + [("run", 1, signal.SIGTERM), ("run", 1, signal.SIGINT), ("load", 0, signal.SIGTERM)] * 2
    ):
        (tmp_path / str(number)).mkdir()
        case = hanging.write_case(tmp_path / str(number))
        process = hanging.start(
            case, tmp_path / str(number) / "out", answered=answered, limit_s=500.0 if sent else 1.0, where=where
        )
        assert process.stdout is not None
        while process.stdout.readline() not in ("hangs\n", ""):
            pass
        if sent:
            process.send_signal(sent)
        status, complaint, seconds = hanging.ended(process)
        longest, times = max(longest, seconds), times + 1
        if status == 0 or (not sent and "has not answered within" not in complaint):
            lost.append(f"{where} {sent}: {status} {complaint}")
    trials.tried(
        "`python -m inference detect` on a stand-in device whose chip stops answering",
        times,
        told(lost),
        f"while it loads, at the first image and later; half were ended by SIGTERM or Ctrl-C meanwhile. Over within "
        f"{longest:.1f} s; without a signal after 60 s (loading: 300 s). Before it was found, detect waited for ever "
        "and no signal but SIGKILL ended it. Not tried on a real chip: a driver that keeps Python's lock while it "
        "waits keeps the whole process, and only SIGKILL is left",
    )


def try_devices_that_hang(trials: Trials, tmp_path: Path, made: StandIn, found: Bench) -> None:
    lost, longest, times = [], 0.0, 0
    made.switch("hold")
    with sshd(tmp_path / "sshd") as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "_ALIVE_S", 1)
        patch.setattr(link, "_ALIVE_COUNT", 2)
        over_ssh = ssh_device(server, made, run_timeout=6.0)
        local = local_device(made).model_copy(update={"run_timeout": 6.0})
        patient = ssh_device(server, made, run_timeout=120.0)
        cases: list[tuple[str, object, Callable[[], object]]] = [
            ("the run hangs, over ssh", over_ssh, lambda: None),
            ("the run hangs, in this machine", local, lambda: None),
            ("the agent is frozen, over ssh", over_ssh, lambda: os.kill(parent(made), signal.SIGSTOP)),
            ("the agent is frozen, in this machine", local, lambda: os.kill(parent(made), signal.SIGSTOP)),
            ("sshd is frozen", patient, lambda: [os.kill(pid, signal.SIGSTOP) for pid in sessions(server.folder)]),
        ]
        for what, device, act in cases:
            (made.folder / "pid").unlink(missing_ok=True)
            threading.Thread(target=when_begun, args=(made, act), daemon=True).start()
            started = time.monotonic()
            try:
                validated(found, device)  # type: ignore[arg-type]
                lost.append(f"{what}: it was taken for done")
            except ConnectionLost:
                pass
            longest, times = max(longest, time.monotonic() - started), times + 1
            pid = int((made.folder / "pid").read_text())
            for stopped in (*sessions(server.folder), *([parent(made)] if is_alive(pid) else [])):
                os.kill(stopped, signal.SIGCONT)  # as when it is switched on again
            if not wait_until_gone([pid]):
                lost.append(f"{what}: the run goes on there")
    trials.tried(
        "a device that stops answering in the middle of `python -m flows.validate`",
        times,
        told(lost),
        f"{'; '.join(what for what, _, _ in cases)}; over within {longest:.0f} s, and nothing ran on afterwards. By "
        "default a run has six hours, and a connection over which nothing comes is dropped after a minute",
    )


def parent(made: StandIn) -> int:
    status = Path(f"/proc/{(made.folder / 'pid').read_text()}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def sessions(folder: Path) -> list[int]:
    """Return the processes of a server's sessions."""
    listed = subprocess.run(["pgrep", "-f", str(folder / "config")], capture_output=True, text=True, check=False)
    below = [pid for root in map(int, listed.stdout.split()) for pid in descendants(root)]
    return [pid for pid in below if "sshd" in Path(f"/proc/{pid}/comm").read_text()]


def when_begun(made: StandIn, act: Callable[[], object]) -> None:
    while not (made.folder / "pid").exists() or not (made.folder / "pid").read_text():
        time.sleep(0.02)
    time.sleep(0.5)
    act()


def try_servers_that_freeze(trials: Trials, tmp_path: Path) -> None:
    lost, longest = [], 0.0
    for number, sent in enumerate((signal.SIGSTOP, signal.SIGKILL)):
        (tmp_path / str(number)).mkdir()
        status, said, seconds, below = frozen_in(TinyBuild(tmp_path / str(number)), "model_transform", sent)
        longest = max(longest, seconds)
        if status != 1 or "stopped answering" not in said or not wait_until_gone(below):
            lost.append(f"{sent}: {status} {said}")
    trials.tried(
        "Prefect's server stopped (SIGSTOP) or killed in the middle of a whole build",
        2,
        told(lost),
        f"the build ended by itself after {longest:.0f} s, with what to do; by default it waits for a server for 8 to "
        "15 minutes, and says so after half a minute. Before: after 21 minutes, with an error that nobody foresaw",
    )


def try_schedulers_that_freeze(trials: Trials, tmp_path: Path, prefect_server: None) -> None:
    for number in range(3):
        with pytest.MonkeyPatch.context() as patch:
            (tmp_path / str(number)).mkdir()
            frozen_scheduler(None, tmp_path / str(number), patch, Log())
    trials.tried(
        "a Dask scheduler frozen while steps wait for it",
        3,
        NOTHING,
        "the steps ended with an error that says so; by default after a quarter of an hour. Before: never",
    )


class Log:
    """Takes the place of pytest's: what was logged is looked at by the tests."""

    text = "does not answer; it is waited for"
