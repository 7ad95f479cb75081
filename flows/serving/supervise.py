"""What starts server and worker, starts them again when they die, and ends them in order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType

from flows.server import answers
from flows.serving.place import Phase, Place, Status
from flows.serving.plan import (
    Plan,
    prepare_command,
    server_command,
    server_environment,
    worker_command,
    worker_environment,
)

_POLL_S = 0.2
_START_S = 180.0
_PREPARE_S = 180.0
_STEADY_S = 120.0
_LONGEST_PAUSE_S = 60.0
_WORKER_STOP_S = 20.0
_SERVER_STOP_S = 10.0
_LOG_BYTES = 5_000_000


class NotStarted(Exception):
    """The service cannot start; the message is one paragraph."""


class Stopping(Exception):
    """The service was asked to stop."""


class Part:
    """A process that is to be there all the time.

    Attributes:
        name: What it is called in the logs.
        log: Path of its log.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, None while there is no such process."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._started = time.monotonic()

    def ended(self) -> int | None:
        """Return its exit status where it ended, and count that; None while it runs."""
        status = None if self._process is None else self._process.poll()
        if status is not None:
            self._process = None
            self._failures = 1 if time.monotonic() - self._started > _STEADY_S else self._failures + 1
            self._not_before = time.monotonic() + pause_s(self._failures)
        return status

    def start_again(self) -> bool:
        """Start it where it ended and its pause is over; whether that happened."""
        if self._process is not None or time.monotonic() < self._not_before:
            return False
        self.start()
        return True

    def stop(self, patience_s: float) -> None:
        """Ask it to end, and kill it when it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def trim(self) -> None:
        """Set a log aside that has grown large; the one before it goes."""
        if self.log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)  # every writer appends


def pause_s(failures: int) -> float:
    """Return how long to wait before a part is started again that ended so many times in short order, seconds."""
    return min(2.0 ** (failures - 1), _LONGEST_PAUSE_S)


class Service:
    """Server, worker, and the order in which they come and go."""

    def __init__(self, plan: Plan, place: Place, environ: Mapping[str, str]) -> None:
        """Plan it; nothing is started.

        Args:
            plan: What to run.
            place: Where it is known.
            environ: The variables that all parts inherit.
        """
        self._plan, self._place = plan, place
        self._worker_environment = worker_environment(plan, environ)
        self._parts: list[Part] = []
        if plan.port is not None:
            environment = server_environment(plan, environ)
            self._parts.append(Part("server", server_command(plan), environment, place.log("server")))
        self._parts.append(Part("worker", worker_command(plan), self._worker_environment, place.log("worker")))

    def start(self, asked: Callable[[], bool]) -> None:
        """Start everything in order.

        Args:
            asked: Whether to stop.

        Raises:
            NotStarted: A part did not come up.
            Stopping: It was asked to stop meanwhile.
        """
        if self._plan.port is not None:
            self._tell("starting", "the server is starting")
            self._parts[0].start()
            self._wait_for_server(self._parts[0], asked)
        self._tell("starting", "work pool, limits and deployments are being made")
        self._prepare(asked)
        self._parts[-1].start()
        self._tell("ready")
        _say(f"ready: {self._plan.page}")

    def mind(self) -> None:
        """Start again what ended, once its pause is over."""
        changed = False
        for part in self._parts:
            status = part.ended()
            if status is not None:
                _say(f"the {part.name} ended with status {status}; it is started again, its log is {part.log}")
            if part.start_again():
                changed = True
            part.trim()
        if changed:
            self._tell("ready")

    def stop(self) -> None:
        """End everything: the worker with its runs while the server can still take down how they end."""
        for part in reversed(self._parts):
            part.stop(_SERVER_STOP_S if part.name == "server" else _WORKER_STOP_S)

    def fail(self, reason: str) -> None:
        """Say why the service is not there."""
        self._tell("failed", reason)

    def _wait_for_server(self, server: Part, asked: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not answers(self._plan.api_url):
            if asked():
                raise Stopping
            status = server.ended()
            if status is not None:
                raise NotStarted(f"Prefect's server ended with status {status} at its start. {_told(server.log)}")
            if time.monotonic() >= deadline:
                raise NotStarted(f"Prefect's server did not answer within {_START_S:g} s. {_told(server.log)}")
            time.sleep(_POLL_S)

    def _prepare(self, asked: Callable[[], bool]) -> None:
        log = self._place.log("prepare")
        with log.open("wb") as sink:
            process = subprocess.Popen(
                prepare_command(), env=self._worker_environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )
        deadline = time.monotonic() + _PREPARE_S
        while (status := process.poll()) is None:
            if asked() or time.monotonic() >= deadline:
                process.kill()
                process.wait()
                if asked():
                    raise Stopping
                break
            time.sleep(_POLL_S)
        if status != 0:
            raise NotStarted(f"Work pool, limits and deployments could not be made. {_told(log)}")

    def _tell(self, phase: Phase, reason: str = "") -> None:
        parts = {part.name: part.pid for part in self._parts if part.pid is not None}
        self._place.tell(Status(pid=os.getpid(), plan=self._plan, phase=phase, reason=reason, parts=parts))


def main(plan: Plan) -> int:
    """Run server and worker until this process is asked to stop.

    Args:
        plan: What to run.

    Returns:
        0 stopped on request, 1 not started.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    service = Service(plan, Place(plan.home), os.environ)
    try:
        service.start(lambda: bool(received))
        while not received:
            time.sleep(_POLL_S)
            service.mind()
    except Stopping:
        pass
    except (NotStarted, OSError) as error:
        service.stop()
        _say(str(error))
        service.fail(str(error))
        return 1
    _say("stopping")
    service.stop()
    _say("stopped")
    return 0


def _told(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = f" Its last line: {lines[-1].strip()[:500]}" if lines else ""
    return f"Its log is {log}.{last}"


def _say(text: str) -> None:
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(Plan.model_validate_json(sys.argv[1])))
