"""Prefect as a build needs it: records beside the bytes that they name, quiet, and nothing left running."""

from __future__ import annotations

import contextvars
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import Flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.v1.asyncio import ConcurrencySlotAcquisitionError as TagSlotAcquisitionError
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.filesystems import LocalFileSystem
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    get_current_settings,
    temporary_settings,
)
from prefect.states import Cancelled

from artifacts.files import free_bytes, storage_errors
from flows.errors import ServerFailed, ServerLost
from flows.pulse import Pulse, watched
from flows.server import Server, check_reachable
from flows.serving.place import running_server
from flows.serving.plan import HEARTBEAT_S, TAG
from flows.stopping import end_children
from tasks.in_use import used
from tasks.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")

_FAREWELL_S = 3.0

_SERVERS_FAULT = (httpx.HTTPError, PrefectHTTPStatusError, ConcurrencySlotAcquisitionError, TagSlotAcquisitionError)

# What Prefect's client says, as a RuntimeError, where it opens a connection and nobody listens.
_NOT_REACHED = "Failed to reach API"
_ENDING_POLL_S = 0.2


@contextmanager
def prefect_in(workspace: Workspace) -> Iterator[Server | None]:
    """Let flows of the block keep their cache records in the workspace, and give them a server where there is none.

    The one that the user named comes first, then the one that `flows.serve` runs on this machine.

    Args:
        workspace: The folders of the build.

    Yields:
        The server that was started, which may not answer yet; None where one was there.

    Raises:
        ServerNotReached: The server that the user named is not there.
        ServerFailed: It did not do what the block asked of it.
    """
    values: dict[Any, Any] = {PREFECT_RESULTS_LOCAL_STORAGE_PATH: workspace.records}
    server, known = None, PREFECT_API_URL.value() or running_server(get_current_settings().home)
    if known:
        check_reachable(known)
        values[PREFECT_API_URL] = known
        if PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is not None:
            # So often as the automation that finds killed runs expects it of whatever has our tag.
            values[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = HEARTBEAT_S
    else:
        with storage_errors(workspace.logs):
            workspace.logs.mkdir(parents=True, exist_ok=True)
            server = Server(workspace.logs / f"prefect-server-{os.getpid()}.log")
        values[PREFECT_API_URL] = server.api_url
        # Its thread costs a second at the end of a run, and what it serves, automations, no such server has.
        values[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None
    with used(workspace), temporary_settings(values), tags(*((TAG,) if known else ())):
        try:
            yield server
        except _SERVERS_FAULT as error:
            reason, free = str(error).partition("\n")[0], free_bytes(get_current_settings().home)
            log_path = None if server is None else server.log_path
            raise ServerFailed(str(values[PREFECT_API_URL]), reason, free, log_path) from error


@contextmanager
def pulse_of_server() -> Iterator[Pulse]:
    """Watch over the server of `prefect_in` while the block runs; what Prefect says when it is gone becomes ours.

    Raises:
        ServerLost: Prefect gave up asking it.
    """
    api_url = str(PREFECT_API_URL.value())
    with watched(api_url) as pulse:
        try:
            yield pulse
        except (httpx.TransportError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not str(error).startswith(_NOT_REACHED):
                raise
            raise ServerLost(api_url) from error


@contextmanager
def records_in(workspace: Workspace) -> Iterator[None]:
    """Let the tasks of a flow that runs already keep their cache records in the workspace.

    Where they lie is part of a flow's context, made before the flow could load its settings.

    Args:
        workspace: The folders of the build.
    """
    context = FlowRunContext.get()
    if context is None:
        raise RuntimeError("records_in is for the inside of a flow")
    storage = LocalFileSystem(basepath=str(workspace.records))
    store = context.result_store.model_copy(update={"result_storage": storage})
    with (
        used(workspace),
        temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: workspace.records}),
        context.model_copy(update={"result_store": store}),
    ):
        yield


@contextmanager
def ending_children() -> Iterator[None]:
    """End the processes that this one started as soon as SIGTERM arrives while the block runs.

    Prefect raises an exception in the main thread then, and waits for the tasks in the other threads; those wait for
    the compiler. Prefect's handler has to stay, its server's cancellation depends on it: the number is read from the
    file descriptor that Python writes it to as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_on_sigterm, args=(reading,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()


def _end_on_sigterm(arrived: socket.socket) -> None:
    while numbers := arrived.recv(64):
        # Until this process is gone: a thread whose command ended may start the next one.
        while signal.SIGTERM in numbers:
            end_children(())
            time.sleep(_ENDING_POLL_S)


def announcing(flow: Flow[P, R], started: Callable[[str], object]) -> Flow[P, R]:
    """Return a flow that tells when it begins.

    Args:
        flow: The flow.
        started: Called with the flow run's id.
    """

    def on_running(flow: Flow[P, R], flow_run: FlowRun, state: State[Any]) -> None:
        started(str(flow_run.id))

    return flow.with_options(on_running=[on_running])


def mark_cancelled(run: str) -> None:
    """Tell the server that a flow run was stopped; when it does not answer in a few seconds, it is left at that."""

    def tell() -> None:
        with suppress(Exception), get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelled(message="stopped by a signal"), force=True)

    # In a copy of this context: the server's address is in it.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(tell,), daemon=True)
    thread.start()
    thread.join(_FAREWELL_S)
