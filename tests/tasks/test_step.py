"""What a step is, under a real Prefect server: when it works, when it does not, and what it says about that."""

from __future__ import annotations

import contextvars
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import get_current_settings

from artifacts.errors import StoreNotWritable
from tasks import journal
from tasks.errors import KeyFailure
from tasks.journal import Entry, Outcome
from tasks.step import step
from tasks.workspace import Workspace
from tests.tasks import steps_for_tests as steps
from tests.tasks.steps_for_tests import COMPILER, Made, Part, calls

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0

OTHER_PROCESS = """
import sys
from tasks.workspace import Workspace
from tests.tasks.steps_for_tests import wait_for_file
wait_for_file("go", Workspace(store=sys.argv[1], cache=sys.argv[1]))
"""


@pytest.fixture
def workspace(prefect_records: Path) -> Workspace:
    return Workspace(store=str(prefect_records.parent), cache=str(prefect_records.parent))


def make(workspace: Workspace, name: str = "it", text: str = "text", part: Part | None = None, **other: Any) -> Made:
    made: Made = steps.make(name, text, part or Part(), other.get("toolchain", COMPILER), workspace)
    return made


def last(workspace: Workspace, slot: str) -> Entry:
    return next(entry for entry in journal.read(workspace, "none") if entry.slot == slot)


def records(workspace: Workspace, name: str) -> list[Path]:
    return sorted(path for path in workspace.records.glob(f"{name}-*") if path.is_file())


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_the_same_arguments_give_the_stored_result(workspace: Workspace) -> None:
    first = make(workspace)
    assert last(workspace, "make it").outcome is Outcome.MADE and last(workspace, "make it").first
    second = make(workspace)
    assert second == first and calls(workspace) == ["text"]
    assert last(workspace, "make it").outcome is Outcome.HIT


def test_each_kind_of_input_makes_the_step_work_again_and_is_named(workspace: Workspace) -> None:
    make(workspace)
    for change, named in [
        ({"text": "other"}, ("text",)),
        ({"part": Part(size=2)}, ("part.size",)),
        ({"part": Part(names=("a", "c"))}, ("part.names[1]",)),
        ({"toolchain": COMPILER.model_copy(update={"fingerprint": "sha256:bb"})}, ("toolchain",)),
    ]:
        make(workspace, **change)
        assert last(workspace, "make it").outcome is Outcome.MADE
        assert last(workspace, "make it").changed == named
        make(workspace)  # the first arguments again: a hit, and what the next change is compared with
        assert last(workspace, "make it").outcome is Outcome.HIT


def test_another_input_blob_makes_the_step_work_again(workspace: Workspace) -> None:
    steps.use(make(workspace, text="one"), workspace)
    steps.use(make(workspace, text="two"), workspace)
    assert calls(workspace).count("use") == 2 and last(workspace, "use").changed == ("made.blob",)


def test_a_new_version_of_the_step_makes_it_work_again(workspace: Workspace) -> None:
    steps.use(make(workspace), workspace)
    newer = step(version=2, slot="use")(steps.use.fn.__wrapped__)  # type: ignore[attr-defined]
    newer(make(workspace), workspace)
    assert calls(workspace).count("use") == 2 and last(workspace, "use").changed == ("version",)


def test_how_an_input_came_about_and_where_things_lie_change_nothing(workspace: Workspace) -> None:
    made = make(workspace)
    steps.use(made, workspace)
    later = made.model_copy(update={"evidence": made.evidence.model_copy(update={"seconds": 99.0})})
    steps.use(later, workspace.model_copy(update={"cache": "/elsewhere"}))
    make(workspace, toolchain=COMPILER.model_copy(update={"root": "/two", "python": "/two/bin/python"}))
    assert calls(workspace) == ["text", "use"]


@pytest.mark.parametrize("thing", [Path("/a/path"), b"bytes", {1, 2}, float("nan"), {1: "a"}, object()])
def test_an_argument_without_a_stable_form_fails_the_step(thing: object, workspace: Workspace) -> None:
    with pytest.raises(KeyFailure, match=r"thing is a .*no stable form"):
        steps.take_anything(thing, workspace)
    assert calls(workspace) == []


def test_a_step_whose_look_up_fails_does_not_run_without_a_cache(workspace: Workspace) -> None:
    Path(workspace.store).mkdir(parents=True)
    workspace.journals.write_text("a file where the folder of the journals should be")
    with pytest.raises(StoreNotWritable, match="journals is a file, not a folder"):
        make(workspace)
    assert calls(workspace) == []


def test_a_failure_is_not_remembered(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="not yet"):
        steps.fail(2, workspace)
    assert records(workspace, "fail") == [] and last(workspace, "fail").outcome is Outcome.FAILED
    assert steps.fail(2, workspace).blob.size == len(b"at last")
    assert last(workspace, "fail").outcome is Outcome.MADE and len(records(workspace, "fail")) == 1


def test_what_may_pass_is_tried_again(workspace: Workspace) -> None:
    steps.may_pass("passing", workspace)
    assert calls(workspace) == ["passing", "passing"]


def test_what_will_not_pass_is_not_tried_again(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="once"):
        steps.may_pass("lasting", workspace)
    assert calls(workspace) == ["lasting"]


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_stored_file_that_is_lost_or_damaged_is_made_again_and_hits_from_then_on(
    harm: str, workspace: Workspace
) -> None:
    made = make(workspace)
    steps.use(made, workspace)
    path = workspace.content.path(made.blob)
    path.chmod(0o644)
    path.unlink() if harm == "lost" else path.write_bytes(b"xxxx")
    again = make(workspace)
    assert again.blob == made.blob and workspace.content.is_sound(made.blob)
    assert last(workspace, "make it").damaged == (made.blob.digest,)
    assert last(workspace, "make it").outcome is Outcome.MADE
    make(workspace)
    steps.use(again, workspace)
    assert last(workspace, "make it").outcome is Outcome.HIT
    assert calls(workspace) == ["text", "use", "text"]


def test_each_generation_that_is_lost_is_followed_by_another(workspace: Workspace) -> None:
    for _ in range(3):
        made = make(workspace)
        workspace.content.path(made.blob).unlink()
    make(workspace)
    assert calls(workspace) == ["text"] * 4
    # Equal bytes make every generation sound again: the first one is used.
    assert make(workspace) and calls(workspace) == ["text"] * 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("steps_for_tests.Made", "steps_for_tests.Vanished"),
        lambda text: re.sub(r"sha256:[0-9a-f]{64}", "sha256:short", text),
        lambda text: text.replace("steps_for_tests.Made", "steps_for_tests.Part"),
    ],
    ids=["half", "empty", "vanished class", "bad field", "other class"],
)
def test_a_record_that_cannot_be_believed_is_made_again(spoil: Any, workspace: Workspace) -> None:
    made = make(workspace)
    (record,) = records(workspace, "make")
    record.write_text(spoil(record.read_text()))
    assert make(workspace).blob == made.blob and calls(workspace) == ["text", "text"]
    make(workspace)
    assert calls(workspace) == ["text", "text"]


def test_prefects_memory_does_not_hide_a_record_that_was_deleted(workspace: Workspace) -> None:
    @flow
    def twice() -> None:
        make(workspace)
        make(workspace)
        for record in records(workspace, "make"):
            record.unlink()
        make(workspace)

    twice()
    assert calls(workspace) == ["text", "text"]


def test_called_as_a_plain_function_a_step_needs_no_prefect(tmp_path: Path) -> None:
    workspace = Workspace(store=str(tmp_path), cache=str(tmp_path))
    assert steps.make.fn("it", "text", Part(), COMPILER, workspace).blob.size == 4
    assert not workspace.records.exists() and not workspace.journals.exists()


def process(workspace: Workspace) -> subprocess.Popen[bytes]:
    """Run `wait_for_file` in a process of its own, and return when it is at work."""
    settings = get_current_settings()
    environment = {
        **os.environ,
        "PREFECT_API_URL": str(settings.api.url),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(settings.results.local_storage_path),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    started = subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, workspace.store], cwd=ROOT, env=environment)
    wait_until(lambda: calls(workspace) or started.poll() is not None)
    assert started.poll() is None
    return started


def test_two_processes_that_want_the_same_do_it_once(workspace: Workspace) -> None:
    other = process(workspace)
    results: list[Made] = []

    def want_it_too() -> None:
        results.append(steps.wait_for_file("go", workspace))

    # In a copy of this context: Prefect's settings are in it.
    ours = threading.Thread(target=contextvars.copy_context().run, args=(want_it_too,))
    ours.start()
    try:
        wait_until(lambda: len(journal_lines(workspace)) == 2)
        (Path(workspace.store) / "go").touch()
        ours.join(DEADLINE_S)
        assert other.wait(DEADLINE_S) == 0
    finally:
        other.kill()
        other.wait()
    assert len(results) == 1 and calls(workspace) == [str(other.pid)]


def test_a_process_killed_at_work_does_not_block_the_next(workspace: Workspace) -> None:
    other = process(workspace)
    other.send_signal(signal.SIGKILL)
    other.wait()
    (Path(workspace.store) / "go").touch()
    assert steps.wait_for_file("go", workspace)
    assert calls(workspace) == [str(other.pid), str(os.getpid())]
    assert last(workspace, "wait").reason == "never made before"


def journal_lines(workspace: Workspace) -> list[str]:
    return (workspace.journals / "none.jsonl").read_text().splitlines()
