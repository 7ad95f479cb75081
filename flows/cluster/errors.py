"""What can go wrong with the scheduler and the workers of a build that runs on several machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.errors import FlowError
from tasks.errors import TaskError


class ClusterError(FlowError):
    """Root of what goes wrong with the scheduler or its workers."""


class DaskMissing(ClusterError):
    """The packages for several machines are not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Several machines need the package {name}, which is not installed here. Make the environment anew from "
            "requirements.txt, or build with `--set runner.kind=threads`."
        )
        self.name = name


class PrefectUnnamed(ClusterError):
    """A worker was not told which Prefect server keeps the record of runs."""

    def __init__(self) -> None:
        super().__init__(
            "PREFECT_API_URL is not set. A worker reports to the same Prefect server as the builds that it works for: "
            "set it to that server's address, such as http://build-1:4200/api."
        )


class SchedulerNotReached(ClusterError):
    """No Dask scheduler answers.

    Attributes:
        address: where it should be.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"No Dask scheduler answers at {address}: {reason.rstrip('.')}. Start it there (python -m dask scheduler), "
            "correct `runner.scheduler`, or build on this machine alone with `--set runner.kind=threads`."
        )
        self.address = address


class SchedulerLost(ClusterError):
    """The scheduler went away, or stopped answering, while steps were at work.

    Attributes:
        address: where it was.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The Dask scheduler at {address} went away or stopped answering while steps were at work. Start it and "
            "its workers again, then run the build again: what is finished is kept."
        )
        self.address = address


class NoWorker(ClusterError):
    """The scheduler has no worker that can do our steps.

    Attributes:
        address: the scheduler's.
        differing: worker to what it has in place of what is needed.
    """

    def __init__(self, address: str, differing: Mapping[str, str]) -> None:
        found = "; ".join(f"{name}: {what}" for name, what in differing.items())
        why = (
            f"has no worker that fits this build ({found}). Give all machines the same checkout, and an environment "
            "made from its constraints.txt"
            if differing
            else "has no worker"
        )
        super().__init__(
            f"The Dask scheduler at {address} {why}; then start workers: python -m flows.worker --scheduler {address}."
        )
        self.address = address
        self.differing = dict(differing)


class WorkersUnfit(ClusterError):
    """Workers cannot take part as they were started.

    Attributes:
        reasons: worker to what is wrong.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listing = " ".join(f"{name}: {reason}" for name, reason in reasons.items())
        super().__init__(f"Not every worker can take part, so the build was not started. {listing}")
        self.reasons = dict(reasons)


class ExchangeNeeded(ClusterError):
    """Workers have stores of their own, and nothing says how they get what others made.

    Attributes:
        workers: which.
    """

    def __init__(self, workers: Sequence[str]) -> None:
        super().__init__(
            f"These workers have stores of their own: {', '.join(workers)}. Say where machines hand over what they "
            "made: `--set exchange.folder=FOLDER` for a folder that all of them see, or `--set "
            "exchange.repository=HOST/REPOSITORY` for a repository on a registry server."
        )
        self.workers = tuple(workers)


class WorkersGone(ClusterError):
    """No worker that fits was there for a long time.

    Attributes:
        address: the scheduler's.
    """

    def __init__(self, address: str, waited_s: float) -> None:
        super().__init__(
            f"The Dask scheduler at {address} has had no worker that fits this build for {waited_s / 60:.0f} minutes. "
            "Start one, then run the build again: what is finished is kept."
        )
        self.address = address


class StepNotRun(ClusterError):
    """A worker could not even begin a step, or its answer could not be read.

    Attributes:
        step: which.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(
            f"{step} could not be run on the workers: {reason.rstrip('.')}. If workers died of it, each of them was "
            "likely out of memory: start them with fewer slots. The workers' own output says more."
        )
        self.step = step


class StepFailed(TaskError):
    """A step failed on another machine; the message is that of its own error.

    Attributes:
        kind: name of that error's class.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
