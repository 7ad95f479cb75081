"""How far a long step is, as a bar on the page of its run.

The bar is drawn from a thread of its own, so that a slow server never holds up the work. Steps that are done within
seconds have none, and outside of a run there is none at all.
"""

from __future__ import annotations

import contextvars
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast
from uuid import UUID

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_S = 5.0
"""A step that is done before this has no bar; seconds."""

EVERY_S = 5.0
"""Time from one look at the step to the next, in seconds."""

_FAREWELL_S = 3.0


@contextmanager
def shown(what: str, done: Callable[[], float]) -> Iterator[None]:
    """Show how far the block is.

    Args:
        what: What is being done; names the bar, and the history of such bars.
        done: Tells the share that is done, 0..1; called from another thread.
    """
    if not _in_a_run():
        yield
        return
    ended = threading.Event()
    # In a copy of this context: the run and the server's address are in it.
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(_draw, what, done, ended), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_FAREWELL_S)


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield items, and show how many were taken.

    Args:
        items: What is worked on one after the other.
        what: As in `shown`.
    """
    taken = 0
    with shown(what, lambda: taken / max(1, len(items))):
        for item in items:
            yield item
            taken += 1


def _draw(what: str, done: Callable[[], float], ended: threading.Event) -> None:
    bar: UUID | None = None
    drawn, wait_s = 0.0, FIRST_S
    try:
        while not ended.wait(wait_s):
            bar, drawn = _put(bar, what, drawn, _percent(done))
            wait_s = EVERY_S
        if bar is not None:
            _put(bar, what, drawn, _percent(done))
    except Exception as error:  # a bar is worth no trouble: the next step tries again
        log.debug("no progress is shown for %s: %s", what, error)


def _in_a_run() -> bool:
    # Prefect is not imported for this: commands look at the settings and the disk before they wait for it.
    if "prefect.context" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def _put(bar: UUID | None, what: str, drawn: float, percent: float) -> tuple[UUID, float]:
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    if bar is None:
        key = "progress-" + re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
        return cast(UUID, create_progress_artifact(percent, key=key, description=what)), percent
    if percent != drawn:
        update_progress_artifact(bar, progress=percent)
    return bar, percent


def _percent(done: Callable[[], float]) -> float:
    return round(100 * min(max(done(), 0.0), 1.0), 1)
