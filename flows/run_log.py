"""Our log lines on the page of the flow run that they belong to; and of Prefect's own lines there, those that say more.

On a page there is a line when a step begins and one when it ends, and a failure is its paragraph. Tracebacks stay for
what was not foreseen.
"""

from __future__ import annotations

import logging
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from flows.terminal import OURS, TOLD

_TASKS, _FLOWS = "prefect.task_runs", "prefect.flow_runs"
_END_OF_A_TASK = "Finished in state "


def join_page() -> None:
    """Show the log of this process on the page of the flow run that is going on; without one nothing happens.

    May be called again, also for another run. Nothing is printed by it, so that no line is doubled on a terminal.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    _page.run = context.flow_run.id
    for name in OURS:
        logger = logging.getLogger(name)
        # Those of PREFECT_LOGGING_EXTRA_LOGGERS would show each line a second time.
        for handler in [one for one in logger.handlers if isinstance(one, APILogHandler)]:
            logger.removeHandler(handler)
        logger.addHandler(_page)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
    for name in (_TASKS, _FLOWS):
        logging.getLogger(name).addFilter(worth_a_line)  # adding it twice does nothing


def worth_a_line(record: logging.LogRecord) -> bool:
    """Tell whether one of Prefect's lines says anything; the traceback of an error of ours is taken out of it."""
    if record.exc_info and isinstance(record.exc_info[1], TOLD):
        record.exc_info = record.exc_text = None
    # A step says itself how it went; why it failed, or could not begin, it does not.
    done = record.levelno <= logging.INFO and str(record.msg).startswith(_END_OF_A_TASK)
    return record.name != _TASKS or not done


class _Page(APILogHandler):
    """Sends what is logged in a step to that step's page, and all else to the page of the flow run.

    Attributes:
        run: The flow run that joined last.
    """

    run: UUID | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # Lines of threads without a context: of those that watch other machines, and of the one that gets the signals.
        if TaskRunContext.get() is None and FlowRunContext.get() is None and not hasattr(record, "flow_run_id"):
            record.flow_run_id = self.run
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A line that no page takes any more: the server is gone, which is told once, and not by a traceback each."""


_page = _Page(level=logging.INFO)
