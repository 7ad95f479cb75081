"""One Prefect server for all tests that run a flow, with a database of its own that is gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# Read when Prefect is imported.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

_running: list[ExitStack] = []


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Runs while any test of the session needs it: each folder's conftest has this fixture, the server starts once."""
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    if _running:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(prefect_test_harness(server_startup_timeout=180))
        # The heartbeat's thread costs a second at the end of each run; many tests run a step outside of any flow.
        settings = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}
        stack.enter_context(temporary_settings(settings))
        _running.append(stack)
        yield
        _running.remove(stack)


@pytest.fixture
def prefect_records(prefect_server: None, tmp_path: Path) -> Iterator[Path]:
    """A folder for the cache records of one test."""
    from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

    records = tmp_path / "store" / "records"
    with temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: records}):
        yield records
