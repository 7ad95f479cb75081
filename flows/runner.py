"""Where the tasks of a flow run: chosen by the settings, which a flow knows only when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.cluster.errors import DaskMissing
from settings.model import Settings
from tasks.workspace import Workspace


@contextmanager
def tasks_on(settings: Settings, workspace: Workspace) -> Iterator[None]:
    """Let the tasks that the block submits run where the settings say.

    Args:
        settings: How many threads, or which scheduler.
        workspace: The folders of this machine.

    Raises:
        ClusterError: The scheduler is not there, or its workers cannot take part.
        ExchangeUnreachable: There is an exchange, and it cannot be used.
    """
    context = FlowRunContext.get()
    if context is None:  # called as a plain function: whatever is submitted fails by itself
        yield
    elif settings.runner.scheduler is not None:
        with _workers(settings.runner.scheduler, context, workspace):
            yield
    else:
        if workspace.exchange is not None:
            workspace.exchange.prepare()
        with _put(ThreadPoolTaskRunner(max_workers=settings.workers), context):
            yield


@contextmanager
def _workers(scheduler: str, context: FlowRunContext, workspace: Workspace) -> Iterator[None]:
    try:
        # Imported late: it takes a second, and most builds need none of it.
        from flows.cluster.check import check_workers
        from flows.cluster.steps import Cluster, followed
    except ModuleNotFoundError as error:
        raise DaskMissing(str(error.name)) from error

    assert context.flow_run is not None
    cluster = Cluster(scheduler, workspace)
    with _put(cluster, context):
        check_workers(cluster, context.flow_run.id, workspace)
        with followed(cluster, str(context.flow_run.id), workspace):
            yield


@contextmanager
def _put(runner: TaskRunner[Any], context: FlowRunContext) -> Iterator[None]:
    with runner, context.model_copy(update={"task_runner": runner}):
        yield
