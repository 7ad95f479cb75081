"""Several machines on this one: a real Dask scheduler, and workers that have stores and compilers of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import get_current_settings

from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace
from tests.flows.tiny import DEADLINE_S, ROOT, write_environment

WORKER = """
import sys
from pathlib import Path
import tasks.toolchain.provision
from tasks.toolchain.model import Toolchain
folder = Path(sys.argv[1])
def provision(version, *, root, **options):
    with (folder / "provisioned").open("a") as stream:
        stream.write(f"{version} {root}\\n")
    return Toolchain.model_validate_json((folder / "toolchain.json").read_text())
tasks.toolchain.provision.provision = provision
from flows.worker import main
sys.exit(main(sys.argv[2:]))
"""


class Worker:
    """A worker with everything of its own in one folder.

    Attributes:
        folder: Where that is.
        workspace: Its store and cache.
        process: The worker.
    """

    def __init__(self, folder: Path, scheduler: str, *options: str, **environment: str) -> None:
        self.folder = folder
        self.name = folder.name
        if not folder.exists():
            self.toolchain = write_environment(folder / "compiler")
            self.use(self.toolchain)
        self.workspace = Workspace(store=str(folder / "store"), cache=str(folder / "cache"))
        command = ["--scheduler", scheduler, "--store", self.workspace.store, "--name", self.name, "--slots", "1"]
        # A folder of its own as current one: the packages are found by PYTHONPATH, as an installation finds them.
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(folder), *command, *options],
                cwd=folder,
                env={**inherited(), "CENTERNET_CACHE": self.workspace.cache, "PYTHONPATH": str(ROOT), **environment},
                stdout=log,
                stderr=log,
            )

    def use(self, toolchain: Toolchain) -> None:
        """Let provisioning give this compiler."""
        (self.folder / "toolchain.json").write_text(toolchain.model_dump_json())

    def log(self) -> str:
        """What it printed."""
        return (self.folder / "log").read_text()

    def calls(self) -> list[str]:
        """The compiler's commands that it started."""
        path = self.folder / "compiler" / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        return "works for" in self.log()

    def kill(self) -> None:
        """As a power cut: nothing is said to anybody."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As a service manager does it; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


class Machines:
    """A scheduler and its workers.

    Attributes:
        scheduler: Address.
        workers: Those that were started.
    """

    def __init__(self, folder: Path, scheduler: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder = folder
        self.scheduler = scheduler
        self._process = process
        self.workers: list[Worker] = []

    def start(self, name: str, *options: str, wait: bool = True, **environment: str) -> Worker:
        """Start a worker, and wait until it is at the scheduler."""
        worker = Worker(self.folder / name, self.scheduler, *options, **environment)
        self.workers.append(worker)
        if wait:
            until(worker.ready)
        return worker

    def kill(self) -> None:
        """End the scheduler as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self, number: int = signal.SIGSTOP) -> None:
        """Stop the scheduler without ending it, or let it go on by SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def settings(self) -> tuple[str, ...]:
        """What a build has to be told to use them."""
        return ("--set", "runner.kind=dask", "--set", f"runner.scheduler={self.scheduler}")


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """Run a scheduler while the block runs; workers that were started end with it."""
    folder.mkdir(parents=True, exist_ok=True)
    # As anybody starts one: not from a checkout, so that none of our packages can be imported there.
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1"]
    log = folder / "scheduler.log"
    with log.open("wb") as sink:
        scheduler = subprocess.Popen(
            [*command, "--no-dashboard", "--no-show"], cwd=folder, env=inherited(), stdout=sink, stderr=sink
        )
    try:
        until(lambda: scheduler.poll() is not None or re.search(r"tcp://\S+:\d+", log.read_text()))
        found = re.search(r"tcp://\S+:\d+", log.read_text())
        assert found is not None, log.read_text()
        running = Machines(folder, found[0], scheduler)
        try:
            yield running
        finally:
            for worker in running.workers:
                worker.process.kill()
                worker.process.wait()
    finally:
        scheduler.kill()
        scheduler.wait()


def inherited() -> Mapping[str, str]:
    """The environment of a machine of its own, with the address of the session's Prefect server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "DASK_"))}
    return {**kept, "PREFECT_API_URL": str(get_current_settings().api.url), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def until(condition: object) -> None:
    """Wait for something to become true."""
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
