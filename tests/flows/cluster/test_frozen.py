"""A scheduler that is frozen: no connection ends, and nothing is answered."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import distributed
import pytest

from flows.cluster import steps
from flows.cluster.errors import ClusterError, SchedulerLost
from flows.cluster.steps import StepFuture, fitting
from tests.flows.machines import machines


class Waiting:
    """Stands for a build's runner: one step that no worker does, and the end that it is given."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = distributed.Client(address, timeout=30)
        self.future = self.client.submit(int, pure=False)
        self.gone: ClusterError | None = None

    def give_up(self, reason: ClusterError) -> None:
        self.gone = reason
        self.client.cancel([self.future], force=True)


def test_a_step_does_not_wait_for_ever_for_a_frozen_scheduler(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("_WATCH_S", 0.05), ("_ANSWER_S", 0.3), ("_ENOUGH", 3)):
        monkeypatch.setattr(steps, name, value)
    with machines(tmp_path / "machines") as running:
        waiting, ended = Waiting(running.scheduler), threading.Event()
        promise = StepFuture(wrapped_future=waiting.future, task_run_id=None)
        promise.why = lambda error: waiting.gone or SchedulerLost("?")
        assert fitting(waiting.client) == ({}, {})
        running.freeze()
        watch = threading.Thread(target=steps._watch, args=(waiting, ended), daemon=True)
        watch.start()
        started = time.monotonic()
        promise.wait(timeout=60)
        assert promise.state.is_crashed() and time.monotonic() - started < 30
        with pytest.raises(SchedulerLost, match="stopped answering"):
            promise.result()
        assert "does not answer; it is waited for" in caplog.text
        ended.set()
        watch.join(10)
        waiting.client.close()
        assert not watch.is_alive() and time.monotonic() - started < 60


def test_a_scheduler_that_answers_again_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("_WATCH_S", 0.05), ("_ANSWER_S", 0.3), ("_ENOUGH", 400)):
        monkeypatch.setattr(steps, name, value)
    with machines(tmp_path / "machines") as running:
        waiting, ended = Waiting(running.scheduler), threading.Event()
        running.freeze()
        watch = threading.Thread(target=steps._watch, args=(waiting, ended), daemon=True)
        watch.start()
        deadline = time.monotonic() + 60
        while "is waited for" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
        running.freeze(signal.SIGCONT)
        monkeypatch.setattr(steps, "_ANSWER_S", 30.0)
        assert fitting(waiting.client) == ({}, {})
        ended.set()
        watch.join(10)
        assert waiting.gone is None
        waiting.client.close()
