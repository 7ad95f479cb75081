"""Waiting for tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.futures import PrefectFuture, as_completed


def settle(futures: Sequence[PrefectFuture[Any]]) -> None:
    """Wait for tasks, and raise what the first that failed raised.

    A task whose input failed does not run at all, and asking it for its result hides the cause: name those inputs too.

    Args:
        futures: All tasks that were submitted.

    Raises:
        Exception: That of the task that failed.
    """
    for future in as_completed(list(futures)):
        # Without this the state is asked of the server, which lags behind and may still call a failed task running.
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            future.result(raise_on_failure=True)
