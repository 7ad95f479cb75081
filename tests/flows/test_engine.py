"""What Prefect's own failures are told as."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from prefect.concurrency.v1.asyncio import ConcurrencySlotAcquisitionError as TagSlotAcquisitionError
from prefect.exceptions import PrefectHTTPStatusError

from flows.engine import prefect_in, pulse_of_server
from flows.errors import ServerFailed, ServerLost
from tasks.workspace import Workspace


def refused() -> Exception:
    request = httpx.Request("POST", "http://127.0.0.1/api/flow_runs/")
    response = httpx.Response(500, request=request, json={"exception_message": "Internal Server Error"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError("Server error '500'", request=request, response=response)
    )


@pytest.mark.parametrize(
    "error",
    [refused(), httpx.ConnectError("connection refused"), TagSlotAcquisitionError("503 Service Unavailable")],
)
def test_a_server_that_fails_under_a_flow_is_named_with_the_space_that_it_has(
    prefect_server: None, tmp_path: Path, error: Exception
) -> None:
    workspace = Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))
    said = pytest.raises(ServerFailed, match=r"MB is free in PREFECT_HOME .* what is finished is kept")
    with said, prefect_in(workspace):
        raise error


def test_a_server_that_nobody_listens_at_any_more_is_lost(prefect_server: None) -> None:
    # Prefect's client says it so where it opens a connection, and lets the transport's error through elsewhere.
    with pytest.raises(ServerLost), pulse_of_server():
        raise RuntimeError("Failed to reach API at http://127.0.0.1:4200/api/")
    with pytest.raises(RuntimeError, match="something else"), pulse_of_server():
        raise RuntimeError("something else")
