"""Our service as a process of its own, and the runs that it is asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from settings.locations import PROJECT

PATIENCE_S = 900.0


class Serving:
    """A service with a database of its own.

    Attributes:
        home: Prefect's folder.
        port: Of the server.
        api_url: Where it answers.
    """

    def __init__(self, home: Path, **environment: str) -> None:
        """Name it; nothing is started.

        Args:
            home: Prefect's folder.
            environment: Variables for all of its commands.
        """
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        self._environment = environment

    def command(self, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user would who has no server of his own."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT,
            env={**clean, "PREFECT_HOME": str(self.home), **self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def running(self) -> Iterator[Serving]:
        """Let it run for the block."""
        try:
            done = self.command("flows.serve", "start", "--port", str(self.port))
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"ready: http://127.0.0.1:{self.port}" in done.stdout
            yield self
        finally:
            self.command("flows.serve", "stop")

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """Talk to its server."""
        with temporary_settings({PREFECT_API_URL: self.api_url}), get_client(sync_client=True) as client:
            yield client


def ask(client: SyncPrefectClient, deployment: str, **form: Any) -> FlowRun:
    """Ask for a run with a form."""
    which = client.read_deployment_by_name(deployment).id
    return client.create_flow_run_from_deployment(which, parameters={"form": form})


def end_of(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    """Wait for the end of a run."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := client.read_flow_run(run.id)).state is None or not found.state.is_final():
        assert time.monotonic() < deadline, found.state
        time.sleep(0.3)
    return found
