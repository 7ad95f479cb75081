"""Prefect as one build on one machine needs it: quiet, without telemetry, and gone when the build is."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.states import Cancelled

from artifacts.files import storage_errors
from flows.server import Server, check_reachable
from tasks.workspace import Workspace

_FAREWELL_S = 3.0


@contextmanager
def prefect_in(workspace: Workspace) -> Iterator[Server | None]:
    """Let flows of the block keep their cache records in the workspace, and give them a server where none is named.

    Args:
        workspace: The folders of the build.

    Yields:
        The server that was started, which may not answer yet; None where the user named one.

    Raises:
        ServerNotReached: The server that the user named is not there.
    """
    values: dict[Any, Any] = {PREFECT_RESULTS_LOCAL_STORAGE_PATH: workspace.records}
    server, named = None, PREFECT_API_URL.value()
    if named:
        check_reachable(named)
    else:
        with storage_errors(workspace.logs):
            workspace.logs.mkdir(parents=True, exist_ok=True)
            server = Server(workspace.logs / f"prefect-server-{os.getpid()}.log")
        values[PREFECT_API_URL] = server.api_url
        # Its thread costs a second at the end of a run, and what it serves, automations, no such server has.
        values[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None
    with temporary_settings(values):
        yield server


def mark_cancelled(run: str) -> None:
    """Tell the server that a flow run was stopped; when it does not answer in a few seconds, it is left at that."""

    def tell() -> None:
        with suppress(Exception), get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelled(message="stopped by a signal"), force=True)

    # In a copy of this context: the server's address is in it.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(tell,), daemon=True)
    thread.start()
    thread.join(_FAREWELL_S)
