"""A service of which a process is killed: what is left of it, and what comes back. Server and worker are stand-ins."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.serving.place import Place
from flows.serving.plan import Plan
from settings.locations import PROJECT
from tests.flows.tiny import wait_until

# The worker starts a process in a session of its own, as it does with a run, and writes down its id.
PROGRAM = """
import sys
from flows.serving import hold, supervise
from flows.serving.plan import Plan

SERVER = '''
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"true")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''
plan = Plan.model_validate_json(sys.argv[2])
supervise.server_command = lambda plan: [sys.executable, "-c", SERVER, str(plan.port)]
supervise.worker_command = lambda plan: ["sh", "-c", f"setsid sleep 600 & echo $! > {plan.home}/run; wait"]
supervise.prepare_command = lambda: ["true"] if not (plan.home / "broken").exists() else ["sh", "-c", "echo no; exit 1"]
if sys.argv[1] == "hold":
    hold._supervisor = lambda plan: [sys.executable, "-c", sys.argv[3], "supervise", sys.argv[2]]
    sys.exit(hold.main(plan))
sys.exit(supervise.main(plan))
"""


class Running:
    """A service of stand-ins."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.home, self.place = home, Place(home)
        plan = Plan(home=home, api_url=f"http://127.0.0.1:{port}/api", port=port, keep_days=1)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "hold", plan.model_dump_json(), PROGRAM],
            cwd=PROJECT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    def until_ready(self) -> None:
        def ready() -> bool:
            status = self.place.status()
            return status is not None and status.phase == "ready" and self.run_id() is not None

        wait_until(ready)

    def run_id(self) -> int | None:
        """Process id of the run that the worker started last."""
        text = (self.home / "run").read_text().strip() if (self.home / "run").exists() else ""
        return int(text) if text else None

    def pids(self) -> dict[str, int]:
        """Process ids of all that belongs to it."""
        status, run = self.place.status(), self.run_id()
        assert status is not None and run is not None
        supervisor = status.pid
        guard = int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1])
        return {"hold": self.process.pid, "guard": guard, "supervisor": supervisor, **status.parts, "run": run}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    service = Running(tmp_path)
    try:
        service.until_ready()
        yield service
    finally:
        service.process.terminate()
        service.process.wait()


@pytest.mark.parametrize("which", ["hold", "guard", "supervisor"])
def test_when_what_watches_is_killed_all_the_rest_ends_and_another_can_start(running: Running, which: str) -> None:
    pids = running.pids()
    os.kill(pids[which], signal.SIGKILL)
    running.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids.values()))
    wait_until(lambda: not running.place.is_held())
    again = Running(running.home)
    again.until_ready()
    again.process.terminate()
    assert again.process.wait() == 0


def test_when_the_server_is_killed_it_comes_back_and_the_run_goes_on(running: Running) -> None:
    before = running.pids()
    os.kill(before["server"], signal.SIGKILL)
    wait_until(lambda: running.pids()["server"] != before["server"])
    after = running.pids()
    assert alive(after["server"]) and {**after, "server": 0} == {**before, "server": 0}


def test_when_the_worker_is_killed_it_comes_back_and_its_run_goes_on_until_the_service_ends(running: Running) -> None:
    before = running.pids()
    os.kill(before["worker"], signal.SIGKILL)
    wait_until(lambda: running.pids()["worker"] != before["worker"] and running.run_id() != before["run"])
    assert alive(before["run"]) and alive(running.pids()["run"])
    pids = running.pids()
    running.process.terminate()
    assert running.process.wait() == 0
    assert not any(alive(pid) for pid in (before["run"], *pids.values())) and not running.place.is_held()


def test_a_stop_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    service = Running(tmp_path)
    wait_until(service.place.is_held)
    service.process.terminate()
    service.process.wait()
    assert not service.place.is_held()


def test_what_cannot_be_prepared_ends_it_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("")
    service = Running(tmp_path)
    assert service.process.wait() == 1 and not service.place.is_held()
    words = service.place.last_words()
    assert words is not None and words.phase == "failed" and words.reason.endswith("Its last line: no")
