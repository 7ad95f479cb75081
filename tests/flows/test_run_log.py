"""Our lines on the page of a run."""

from __future__ import annotations

import logging
import threading
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.logging.handlers import APILogHandler

from flows.run_log import _page, join_page, worth_a_line
from tasks.errors import KeyFailure
from tests.flows.conftest import Run
from tests.flows.pages import lines_of, runs_of
from tests.flows.tiny import TinyBuild


def record(name: str, message: str, error: Exception | None = None, level: int = logging.ERROR) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord(name, level, __file__, 1, message, (), info)


def test_every_step_has_its_lines_once_and_prefect_adds_none(finished: TinyBuild) -> None:
    lines = lines_of(runs_of(finished)[0])
    ours = [message for name, message in lines if name == "tasks.step"]
    assert ours.count("calibrate ...") == 1
    assert sum(message.startswith("calibrate: done in ") and ", log sha256:" in message for message in ours) == 1
    assert sum(message.startswith("curate: done in ") and "log" not in message for message in ours) == 1
    assert not [message for name, message in lines if name == "prefect.task_runs"]


def test_a_step_that_fails_is_one_paragraph_with_its_log(run: Run, again: TinyBuild) -> None:
    again.switch("fail", "run_calibration")
    assert run(again, "--set", "calibration.seed=5") == 1
    lines = lines_of(runs_of(again)[-1])
    (ours,) = [message for _, message in lines if message.startswith("calibrate: failed after ")]
    (log,) = again.workspace.logs.glob("calibrate*.log")
    assert f", log {log} (sha256:" in ours
    assert any(name == "prefect.task_runs" and "run_calibration exited with status 3" in text for name, text in lines)
    assert not [message for _, message in lines if "Traceback" in message]


def test_lines_of_threads_without_a_run_are_on_the_page_of_the_run_that_joined(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    @task
    def work() -> None:
        logging.getLogger("tasks.step").info("in a step")

    @flow
    def joined() -> None:
        from prefect.runtime import flow_run

        runs.append(str(flow_run.id))
        join_page()
        join_page()
        work.submit().result()
        thread = threading.Thread(target=logging.getLogger("flows.cluster.steps").info, args=("from afar",))
        thread.start()
        thread.join()
        logging.getLogger("somebody.else").warning("not ours")

    joined()
    said = [message for _, message in lines_of(runs[0])]
    assert said.count("in a step") == said.count("from afar") == 1 and "not ours" not in said


def test_a_handler_that_somebody_configured_does_not_double_the_lines(prefect_server: None) -> None:
    logging.getLogger("inference").addHandler(APILogHandler())

    @flow
    def joined() -> None:
        join_page()

    joined()
    assert len([one for one in logging.getLogger("inference").handlers if isinstance(one, APILogHandler)]) == 1


def test_without_a_run_nothing_is_joined() -> None:
    before = [*logging.getLogger("settings").handlers]
    join_page()
    assert logging.getLogger("settings").handlers == before


def test_the_traceback_of_what_was_foreseen_is_left_out_and_no_other() -> None:
    foreseen, other = (
        record("prefect.flow_runs", "failed", KeyFailure("x")),
        record("prefect.flow_runs", "failed", OSError()),
    )
    assert worth_a_line(foreseen) and worth_a_line(other)
    assert foreseen.exc_info is None and other.exc_info is not None


@pytest.mark.parametrize(
    ("name", "level", "message", "worth"),
    [
        ("prefect.task_runs", logging.INFO, "Finished in state Completed()", False),
        ("prefect.task_runs", logging.INFO, "Finished in state Cached(type=COMPLETED)", False),
        ("prefect.task_runs", logging.ERROR, "Finished in state Failed('why')", True),
        ("prefect.task_runs", logging.ERROR, "Finished in state NotReady('Upstream task run')", True),
        ("prefect.task_runs", logging.INFO, "anything else", True),
        ("prefect.flow_runs", logging.INFO, "Finished in state Completed()", True),
    ],
)
def test_only_the_good_end_of_a_task_is_left_to_the_task(name: str, level: int, message: str, worth: bool) -> None:
    assert worth_a_line(record(name, message, level=level)) is worth


def test_a_line_that_no_page_takes_any_more_is_not_told_by_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(line: object) -> None:
        raise RuntimeError("Cannot put items in a stopped service instance.")

    monkeypatch.setattr("prefect.logging.handlers.emit_api_log", stopped)
    line = record("flows.pulse", "it is waited for", level=logging.WARNING)
    line.flow_run_id = uuid4()
    _page.handle(line)
    assert capsys.readouterr().err == ""
