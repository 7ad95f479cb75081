"""What a server shows of a run."""

from __future__ import annotations

import time
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact

from tests.flows.folder import BuildFolder

DEADLINE_S = 180.0


def runs_of(build: BuildFolder) -> list[str]:
    """The flow runs of a build folder, the last one last."""
    journals = sorted(build.workspace.journals.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [path.stem for path in journals]


def artifacts_of(run: str) -> dict[str, Artifact]:
    """The artifacts of a flow run that have a key, by it."""
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
    with get_client(sync_client=True) as client:
        return {one.key: one for one in client.read_artifacts(artifact_filter=wanted) if one.key}


def lines_of(run: str) -> list[tuple[str, str]]:
    """Logger and message of each line on the page of a flow run that is over, in their order.

    Lines are sent from a thread, in the order in which they were written: the last one is waited for.
    """
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)]))
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with get_client(sync_client=True) as client:
            found = client.read_logs(log_filter=wanted, limit=200)
        lines = [(one.name, one.message) for one in sorted(found, key=lambda one: one.timestamp)]
        if any(name == "prefect.flow_runs" and text.startswith("Finished in state") for name, text in lines):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)
