"""Where the tasks of a flow run: chosen by the settings, which a flow knows only when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from settings.model import Settings


@contextmanager
def tasks_on(settings: Settings) -> Iterator[None]:
    """Let the tasks that the block submits run where the settings say.

    Args:
        settings: How many threads, or which scheduler.
    """
    context = FlowRunContext.get()
    if context is None:  # called as a plain function: whatever is submitted fails by itself
        yield
        return
    with task_runner(settings) as runner, context.model_copy(update={"task_runner": runner}):
        yield


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """Return the task runner that the settings name, not yet started."""
    return ThreadPoolTaskRunner(max_workers=settings.workers)
