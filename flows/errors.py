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


class ServerFailed(FlowError):
    """The Prefect server stopped to do its work while a flow ran.

    Attributes:
        api_url: where it is.
        log_path: its log, None where this process did not start it.
    """

    def __init__(self, api_url: str, reason: str, free_bytes: int | None, log_path: Path | None) -> None:
        free = "an unknown amount" if free_bytes is None else f"{free_bytes / 1e6:.1f} MB"
        where = f"{free} is free in PREFECT_HOME (by default ~/.prefect) on this machine"
        said = "" if log_path is None else f"; its log is {log_path}"
        super().__init__(
            f"Prefect's server at {api_url}, which keeps the record of runs, failed: {reason.rstrip('.')}. Its disk "
            f"may be full ({where}), or the server is gone{said}. Make space there, or name another server in "
            "PREFECT_API_URL, and run again: what is finished is kept."
        )
        self.api_url = api_url
        self.log_path = log_path


class ServerLost(FlowError):
    """The Prefect server stopped answering while a flow was at work.

    Attributes:
        api_url: where it was.
    """

    def __init__(self, api_url: str) -> None:
        super().__init__(
            f"Prefect's server at {api_url}, which keeps the record of runs, stopped answering. A server that is "
            "frozen, a full disk or a lost network are likely causes. Run this again, and before that start the server "
            "where it is one of your own: what is finished is kept. On the server's pages the run shows as running "
            "until it is seen to have crashed."
        )
        self.api_url = api_url


class PortTaken(FlowError):
    """The port for Prefect's server is not free.

    Attributes:
        port: It.
    """

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(
            f"Prefect's server cannot have port {port} of this machine: {reason}. Perhaps another Prefect server runs "
            f"here; to use that one, set PREFECT_API_URL=http://127.0.0.1:{port}/api. Otherwise choose another port "
            "(--port N, or PREFECT_SERVER_API_PORT)."
        )
        self.port = port


class NotServing(FlowError):
    """Server, worker and deployments did not come up, or did not end.

    Attributes:
        log_path: What the service said.
    """

    def __init__(self, reason: str, log_path: Path) -> None:
        super().__init__(f"{reason} Nothing of it is left running unless said above; what it said is in {log_path}.")
        self.log_path = log_path


class NothingWorse(FlowError):
    """There is nothing to search for: the bad compiler is not worse than the good one.

    Attributes:
        good: its version.
        bad: its version.
    """

    def __init__(self, good: str, bad: str) -> None:
        super().__init__(
            f"Compiler {bad} is not worse than {good} in anything that was looked at, by more than the margins of the "
            "settings. Name other versions or variants, look at more measures, or make `margins` smaller."
        )
        self.good = good
        self.bad = bad
