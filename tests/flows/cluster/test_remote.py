"""The worker's side: what it says of itself, and errors that another machine can read."""

from __future__ import annotations

import pickle
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.context import FlowRunContext

from artifacts.errors import MissingBlob
from flows.cluster import remote
from flows.cluster.remote import Question, answer, readable, settle_in
from inference.errors import EngineError
from settings.operations import ExchangeSettings
from tasks.errors import CommandTimedOut, NotInExchange
from tasks.exchange.machine import Machine
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(remote, "_settled", [])
    settle_in(Machine(name="two", store=str(tmp_path), cache=str(tmp_path / "cache")))
    return Workspace(store=str(tmp_path / "elsewhere"), cache=str(tmp_path / "cache"))


def test_a_worker_of_another_prefect_server_says_so(prefect_server: None, workspace: Workspace) -> None:
    found = answer(Question(uuid4(), "token", workspace))
    assert found.name == "two" and not found.same_store
    assert (
        "does not know this build's run" in found.problem and "Set PREFECT_API_URL to one and the same" in found.problem
    )


def test_a_worker_tells_whether_its_store_is_that_of_the_build_and_the_exchange_can_be_used(
    prefect_server: None, workspace: Workspace, tmp_path: Path
) -> None:
    @flow
    def asked(of: Workspace) -> remote.Answer:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        return answer(Question(context.flow_run.id, "token", of))

    assert asked(workspace) == remote.Answer("two", False, "")
    (tmp_path / "token").touch()
    assert asked(workspace) == remote.Answer("two", True, "")
    away = workspace.model_copy(update={"sharing": ExchangeSettings(folder=Path("/proc/exchange"))})
    assert asked(away).problem.startswith("The exchange /proc/exchange, where machines hand over")


@pytest.mark.parametrize(
    "error",
    [
        CommandTimedOut("deploy", ["model_deploy"], 5.0, Path("/log")),
        NotInExchange("/exchange", "sha256:aa"),
        MissingBlob("sha256:aa", Path("/store")),
        EngineError("the worker broke", Path("/log")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_told_error_can_be_read_elsewhere_and_names_the_machine(error: Exception) -> None:
    text = str(error)
    read = pickle.loads(pickle.dumps(readable(error, "two")))
    assert str(read) == f"{text} (on two)"


class Stubborn(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [ValueError("odd"), Stubborn(1, 2)], ids=["plain", "unreadable"])
def test_an_unforeseen_error_brings_its_traceback_along(error: Exception) -> None:
    def broken() -> None:
        raise error

    try:
        broken()
    except Exception as raised:
        read = pickle.loads(pickle.dumps(readable(raised, "two")))
    assert str(error) in str(read) and "on two:" in read.__notes__[0] and "in broken" in read.__notes__[0]
