"""Bars on the page of a run."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterTaskRunId
from prefect.context import TaskRunContext

from tasks import progress
from tasks.progress import counted, shown


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 0.01)
    monkeypatch.setattr(progress, "EVERY_S", 0.01)


class Drawn:
    """Stands in for the server: what was drawn, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bars: list[tuple[str, str]] = []
        self.shares: list[float] = []
        self.more = threading.Event()
        monkeypatch.setattr("prefect.artifacts.create_progress_artifact", self.create)
        monkeypatch.setattr("prefect.artifacts.update_progress_artifact", self.update)
        monkeypatch.setattr(progress, "_in_a_run", lambda: True)

    def create(self, share: float, *, key: str, description: str) -> object:
        self.bars.append((key, description))
        self.shares.append(share)
        self.more.set()
        return uuid4()

    def update(self, bar: object, *, progress: float) -> None:
        self.shares.append(progress)
        self.more.set()

    def wait(self) -> None:
        assert self.more.wait(30)
        self.more.clear()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    return Drawn(monkeypatch)


def test_a_bar_grows_with_what_is_done_and_ends_where_the_work_ends(drawn: Drawn) -> None:
    for number in counted(range(4), "Evaluate BM1688 int8"):
        if number in (0, 2):
            drawn.wait()
    assert drawn.bars == [("progress-evaluate-bm1688-int8", "Evaluate BM1688 int8")]
    assert drawn.shares in ([0.0, 50.0, 100.0], [0.0, 25.0, 50.0, 100.0])


def test_work_that_fails_leaves_the_bar_where_it_was(drawn: Drawn) -> None:
    with pytest.raises(ZeroDivisionError), shown("calibrate", lambda: 0.25):
        drawn.wait()
        raise ZeroDivisionError
    assert drawn.shares == [25.0]


def test_a_share_beyond_the_whole_is_the_whole(drawn: Drawn) -> None:
    with shown("calibrate", lambda: 7.0):
        drawn.wait()
    assert drawn.shares == [100.0]


def test_what_is_done_soon_has_no_bar(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 60.0)
    assert list(counted(range(3), "evaluate")) == [0, 1, 2]
    assert drawn.bars == []


@pytest.mark.parametrize("broken", ["create_progress_artifact", "update_progress_artifact"])
def test_a_server_that_refuses_does_not_disturb_the_work(
    broken: str, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def refuse(*_: Any, **__: Any) -> None:
        asked.set()
        raise ConnectionError("gone")

    monkeypatch.setattr(f"prefect.artifacts.{broken}", refuse)
    done = 0.0
    with shown("calibrate", lambda: done):
        if broken.startswith("update"):
            drawn.wait()
        done = 0.5
        assert asked.wait(30)


def test_a_server_that_does_not_answer_does_not_hold_up_the_work(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(progress, "_FAREWELL_S", 0.05)
    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", lambda *_, **__: release.wait(60))
    started = time.monotonic()
    with shown("calibrate", lambda: 0.5):
        time.sleep(0.1)
    assert time.monotonic() - started < 30
    release.set()


def test_a_count_that_cannot_be_read_does_not_disturb_the_work(drawn: Drawn) -> None:
    asked = threading.Event()

    def unreadable() -> float:
        asked.set()
        raise OSError("the log is gone")

    with shown("calibrate", unreadable):
        assert asked.wait(30)
    assert drawn.bars == []


def test_outside_of_a_run_nothing_is_drawn_and_no_thread_is_started() -> None:
    before = threading.active_count()
    with shown("calibrate", lambda: 0.5):
        assert threading.active_count() == before
    assert list(counted([1, 2], "evaluate")) == [1, 2]


def test_the_bar_of_a_step_in_a_thread_is_on_that_steps_page(prefect_server: None) -> None:
    runs = []

    @task
    def long(name: str) -> None:
        context = TaskRunContext.get()
        assert context is not None
        runs.append((context.task_run.id, name))
        with get_client(sync_client=True) as client, shown(f"work on {name}", lambda: 0.5):
            wanted = ArtifactFilter(task_run_id=ArtifactFilterTaskRunId(any_=[context.task_run.id]))
            deadline = time.monotonic() + 60
            while not client.read_artifacts(artifact_filter=wanted) and time.monotonic() < deadline:
                time.sleep(0.05)

    @flow
    def two() -> None:
        for future in [long.submit("one"), long.submit("two")]:
            future.result()

    two()
    with get_client(sync_client=True) as client:
        for run, name in runs:
            wanted = ArtifactFilter(task_run_id=ArtifactFilterTaskRunId(any_=[run]))
            (bar,) = client.read_artifacts(artifact_filter=wanted)
            assert (bar.key, bar.type, bar.data) == (f"progress-work-on-{name}", "progress", 50.0)


def test_a_command_that_only_looks_at_its_settings_does_not_wait_for_prefect() -> None:
    program = "import sys, flows.command, tasks.toolchain.run; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0
