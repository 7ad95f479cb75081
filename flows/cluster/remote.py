"""The worker's side of several machines: a step that comes in is done here, in this machine's own folders."""

from __future__ import annotations

import importlib
import json
import pickle
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, RunInput, State
from prefect.context import FlowRunContext
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.task_engine import run_task_sync
from prefect.task_runners import ThreadPoolTaskRunner

from artifacts.errors import ArtifactError
from flows.cluster.errors import StepFailed
from inference.errors import InferenceError
from tasks.errors import ExchangeError, TaskError
from tasks.exchange.machine import Machine, working_on
from tasks.in_use import used
from tasks.journal import Entry
from tasks.workspace import Workspace

_settled: list[Machine] = []
_at_work: set[int] = set()


@dataclass(frozen=True)
class Order:
    """A step to be done.

    Attributes:
        module: Where the step is defined.
        name: Its name there.
        parameters: Its arguments, but for those that other steps give.
        task_run: Id of the task run.
        flow_run: The flow run that it belongs to.
        dependencies: What the page of the run draws as its inputs.
        topic: Where the machine that sent it listens for what the step notes.
    """

    module: str
    name: str
    parameters: Mapping[str, Any]
    task_run: UUID
    flow_run: FlowRun
    dependencies: dict[str, set[RunInput]]
    topic: str


@dataclass(frozen=True)
class Question:
    """What a build wants to know of a worker before it starts.

    Attributes:
        run: Id of its flow run.
        token: Path of a file in its store, relative to that.
        workspace: Its folders.
    """

    run: UUID
    token: str
    workspace: Workspace


@dataclass(frozen=True)
class Answer:
    """What a worker says of itself.

    Attributes:
        name: The machine.
        same_store: Whether its store is the one of the machine that asks.
        problem: Why it cannot take part; empty where it can.
    """

    name: str
    same_store: bool
    problem: str


def settle_in(machine: Machine) -> None:
    """Say which machine this process works for, before anything comes in."""
    _settled[:] = [machine]


def at_work() -> int:
    """Return how many steps are being done in this process."""
    return len(_at_work)


def perform(payload: bytes, given: Mapping[str, Any], wait_for: list[Any] | None) -> State[Any]:
    """Do a step on this machine.

    Args:
        payload: An `Order`, pickled: the scheduler need not have our code.
        given: Arguments that other steps gave, as their final states.
        wait_for: Final states of other steps that had to be done before.

    Returns:
        The step's final state; a failure can be read on any machine, and names this one.
    """
    from distributed import get_worker

    order: Order = pickle.loads(payload)
    machine, worker = _settled[0], get_worker()
    own = Workspace(store=machine.store, cache=machine.cache)
    step: Task[Any, Any] = getattr(importlib.import_module(order.module), order.name)

    def tell(entry: Entry) -> None:
        worker.log_event(order.topic, json.dumps({"machine": machine.name, "entry": entry.model_dump_json()}))

    _at_work.add(threading.get_ident())
    try:
        with used(own), working_on(machine, tell), _flow_run(order, machine):
            state = run_task_sync(
                step,
                task_run_id=order.task_run,
                parameters={**order.parameters, **given},
                wait_for=wait_for,
                return_type="state",
                dependencies=order.dependencies,
            )
    finally:
        _at_work.discard(threading.get_ident())
    assert isinstance(state, State)
    if not (state.is_failed() or state.is_crashed()):
        return state
    error = state.result(raise_on_failure=False)
    return state.model_copy(update={"data": readable(error, machine.name)})


def readable(error: BaseException, machine: str) -> BaseException:
    """Make an error that another machine can read, and that names this one.

    Args:
        error: What a step raised.
        machine: This machine.
    """
    where = f" (on {machine})"
    if isinstance(error, (TaskError, ArtifactError, InferenceError)):
        # Those of the device side are no ones that pickle: they are rebuilt from their message alone.
        told = error if isinstance(error, TaskError) else StepFailed(type(error).__name__, str(error))
        told.args = (f"{told.args[0]}{where}", *told.args[1:])
        return told
    error.add_note(f"on {machine}:\n{''.join(traceback.format_exception(error))}")
    with suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return error
    stand_in = RuntimeError(f"{type(error).__name__}: {error}{where}")
    stand_in.__notes__ = error.__notes__
    return stand_in


def answer(question: Question) -> Answer:
    """Tell a build whether this worker can take part."""
    machine = _settled[0]
    workspace = machine.workspace(question.workspace)
    same = (Path(workspace.store) / question.token).exists()
    return Answer(machine.name, same, _unknown_run(question.run) or _exchange_problem(workspace))


def _unknown_run(run: UUID) -> str:
    try:
        with get_client(sync_client=True) as client:
            client.read_flow_run(run)
            return ""
    except Exception as error:  # whatever it is: this worker's Prefect server is not that of the build
        with get_client(sync_client=True) as client:
            return (
                f"its Prefect server ({client.api_url}) does not know this build's run ({type(error).__name__}). Set "
                "PREFECT_API_URL to one and the same server where the worker and where the build is started."
            )


def _exchange_problem(workspace: Workspace) -> str:
    try:
        if workspace.exchange is not None:
            workspace.exchange.prepare()
    except ExchangeError as error:
        return str(error)
    return ""


@contextmanager
def _flow_run(order: Order, machine: Machine) -> Iterator[None]:
    # What Prefect would send along are the settings, the cache and the whole flow of the machine that sent the step.
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(Path(machine.store) / "records")))
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=1)
    with get_client(sync_client=True) as client, runner:
        context = FlowRunContext(
            flow=Flow(_nothing, name="build"),
            flow_run=order.flow_run,
            parameters={},
            client=client,
            task_runner=runner,
            result_store=store,
            detached=True,
        )
        with context:
            yield


def _nothing() -> None:
    """Stands for the flow, which runs elsewhere."""
