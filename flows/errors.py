"""What can go wrong around a flow, beside what its steps report."""

from __future__ import annotations

from pathlib import Path


class FlowError(Exception):
    """Root of what the flows report on purpose."""


class ServerNotStarted(FlowError):
    """Prefect's server, which keeps the record of runs, did not start.

    Attributes:
        log_path: its log.
    """

    def __init__(self, reason: str, log_path: Path) -> None:
        super().__init__(
            f"Prefect's server, which keeps the record of runs, {reason}. A full disk or a damaged database in "
            f"PREFECT_HOME (by default ~/.prefect) are likely causes; the log says more: {log_path}. Mend that, or "
            "name a server that runs already in PREFECT_API_URL."
        )
        self.log_path = log_path


class ServerNotReached(FlowError):
    """The Prefect server that the user named does not answer.

    Attributes:
        api_url: where it should be.
    """

    def __init__(self, api_url: str, reason: str) -> None:
        super().__init__(
            f"No Prefect server answers at {api_url}, which PREFECT_API_URL names: {reason}. Start it (prefect server "
            "start), or unset the variable: a build without it starts a server of its own."
        )
        self.api_url = api_url
