"""Runs that are at work when a service stops: they are cancelled, as a person would on their page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Cancelling

from flows.serving.plan import POOL, Plan

MESSAGE = "the service was stopped (python -m flows.serve stop); what was finished is kept"

_AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_WAIT_S = 15.0
_POLL_S = 0.3


def cancel_runs(plan: Plan) -> list[str]:
    """Cancel the runs that this machine's worker has at work, and wait a little until they are gone.

    A run that does not end by itself in that time is killed with its worker afterwards; it counts as cancelled as well.

    Args:
        plan: The service.

    Returns:
        The names of the runs. Empty where the server does not answer: then nobody can write down how they end.
    """
    settings = {PREFECT_API_URL: plan.api_url, PREFECT_CLIENT_MAX_RETRIES: 0}
    with (
        suppress(httpx.HTTPError, PrefectHTTPStatusError),
        temporary_settings(settings),
        get_client(sync_client=True) as client,
    ):
        left = runs = [run for run in _at_work(client) if _is_here(run, plan)]
        for run in runs:
            client.set_flow_run_state(run.id, Cancelling(message=MESSAGE), force=True)
        deadline = time.monotonic() + _WAIT_S
        while left and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            left = _at_work(client, [run.id for run in runs])
        for run in left:
            client.set_flow_run_state(run.id, Cancelled(message=MESSAGE), force=True)
        return [run.name for run in runs]
    return []


def _at_work(client: SyncPrefectClient, ids: Sequence[UUID] | None = None) -> list[FlowRun]:
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=_AT_WORK))
    which = FlowRunFilter(state=states, id=None if ids is None else FlowRunFilterId(any_=list(ids)))
    return client.read_flow_runs(
        flow_run_filter=which, work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    )


def _is_here(run: FlowRun, plan: Plan) -> bool:
    if plan.port is not None:
        return True
    # On a server that several machines share, the others' runs go on.
    with suppress(OSError):
        return str(run.id).encode() in Path(f"/proc/{run.infrastructure_pid}/environ").read_bytes()
    return False
