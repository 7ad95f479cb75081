"""The parts of a service, each on its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.serve import run_serve
from flows.serving.place import Place, Status, running_server
from flows.serving.plan import Plan, server_environment, worker_environment
from flows.serving.supervise import Part, pause_s
from settings.layers import OTHER_VARIABLES
from settings.locations import PROJECT
from tests.flows.tiny import wait_until


def plan(home: Path, port: int | None = 4321) -> Plan:
    return Plan(home=home, api_url="http://127.0.0.1:4321/api", port=port, keep_days=30)


def status(home: Path, phase: str = "ready") -> Status:
    return Status.model_validate({"pid": 1, "plan": plan(home), "phase": phase})


def test_one_service_has_a_place_and_the_next_one_waits_until_it_is_gone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert not place.is_held() and place.status() is None
    lock = place.claim()
    assert lock is not None and place.is_held() and place.claim() is None
    os.close(lock)
    assert not place.is_held()


def test_what_a_service_said_before_a_power_cut_means_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lock = place.claim()
    assert lock is not None
    place.tell(status(tmp_path))
    assert running_server(tmp_path) == "http://127.0.0.1:4321/api"
    os.close(lock)
    assert place.status() is None and running_server(tmp_path) is None and place.last_words() == status(tmp_path)
    lock = place.claim()
    assert lock is not None and place.status() is None
    os.close(lock)


def test_a_service_that_is_not_ready_is_no_server_yet(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lock = place.claim()
    assert lock is not None
    place.tell(status(tmp_path, "starting"))
    assert place.status() is not None and running_server(tmp_path) is None
    os.close(lock)


def test_the_lock_lives_as_long_as_any_process_that_it_was_passed_on_to(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lock = place.claim()
    assert lock is not None
    with subprocess.Popen(["sleep", "600"], pass_fds=(lock,)) as process:
        os.close(lock)
        assert place.is_held()
        process.kill()
    assert not place.is_held()


def test_the_server_keeps_runs_for_as_long_as_it_is_told_and_is_heard_on_this_machine_alone(tmp_path: Path) -> None:
    made = server_environment(plan(tmp_path), {"PATH": "/bin", "PREFECT_SERVER_API_HOST": "0.0.0.0"})
    assert made["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(30 * 86400)
    assert "flow_runs" in made["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"]
    assert made["PREFECT_SERVER_API_HOST"] == "127.0.0.1" and made["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert made["PREFECT_HOME"] == str(tmp_path) and made["PATH"] == "/bin"


def test_prefect_reads_what_the_server_is_given_as_it_is_meant(tmp_path: Path) -> None:
    program = (
        "from prefect.settings import get_current_settings as now\n"
        "found = now().server\n"
        "vacuum, events = found.services.db_vacuum, found.events.retention_period\n"
        "print(sorted(vacuum.enabled_vacuum_types), vacuum.retention_period.days, events.days, found.ui.enabled)\n"
    )
    environment = server_environment(plan(tmp_path), {"PATH": os.environ["PATH"]})
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "['events', 'flow_runs', 'orphans'] 30 7 True\n", done.stderr


def test_what_the_user_set_for_the_server_wins(tmp_path: Path) -> None:
    name = "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"
    assert server_environment(plan(tmp_path), {name: "7200"})[name] == "7200"


def test_a_worker_knows_its_checkout_and_the_settings_do_not_mind(tmp_path: Path) -> None:
    made = worker_environment(plan(tmp_path), {})
    assert made["CENTERNET_CHECKOUT"] == str(PROJECT) and "CENTERNET_CHECKOUT" in OTHER_VARIABLES
    assert made["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"


def test_what_fails_again_and_again_is_started_ever_more_rarely() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3, 8, 100)] == [1, 2, 4, 60, 60]


def test_a_part_that_ended_is_started_again_after_its_pause(tmp_path: Path) -> None:
    part = Part("worker", ["sleep", "600"], {"PATH": os.environ["PATH"]}, tmp_path / "log")
    part.start()
    first = part.pid
    assert first is not None and part.ended() is None and not part.start_again()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: part.ended() == -signal.SIGKILL)
    assert part.pid is None and not part.start_again()
    wait_until(part.start_again)
    assert part.pid not in (None, first)
    part.stop(10)
    assert part.pid is None


def test_a_part_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    part = Part("server", [sys.executable, "-c", deaf], {}, tmp_path / "log")
    part.start()
    wait_until(lambda: "deaf" in (tmp_path / "log").read_text())
    started, pid = time.monotonic(), part.pid
    part.stop(0.2)
    assert time.monotonic() - started < 30 and not Path(f"/proc/{pid}").exists()


def test_a_log_that_grew_large_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    part = Part("worker", ["sleep", "600"], {"PATH": os.environ["PATH"]}, log)
    part.start()
    part.trim()
    assert not (tmp_path / "worker.log.1").exists()
    log.write_bytes(b"x" * 5_000_001)
    part.trim()
    assert log.stat().st_size == 0 and (tmp_path / "worker.log.1").stat().st_size == 5_000_001
    part.stop(10)


def serve(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.serve", *arguments],
        cwd=PROJECT,
        env={**clean, "PREFECT_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path, unused: int) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unused))
        taken.listen()
        done = serve(tmp_path, "start", "--port", str(unused))
    assert done.returncode == 1 and f"cannot have port {unused}" in done.stderr and "PREFECT_API_URL" in done.stderr
    assert not Place(tmp_path).is_held()


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, unused: int) -> None:
    (tmp_path / "file").write_text("")
    done = serve(tmp_path / "file" / "home", "start", "--port", str(unused))
    assert done.returncode == 1 and "file/home" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_server_of_ones_own_that_is_not_there_is_told(tmp_path: Path, unused: int) -> None:
    done = serve(tmp_path, "start", PREFECT_API_URL=f"http://127.0.0.1:{unused}/api")
    assert done.returncode == 1 and f"127.0.0.1:{unused}" in done.stderr and not Place(tmp_path).is_held()


def test_nothing_to_stop_is_fine_and_nothing_to_show_is_said(tmp_path: Path) -> None:
    stopped, shown = serve(tmp_path, "stop"), serve(tmp_path, "status")
    assert (stopped.returncode, stopped.stdout) == (0, "nothing runs\n")
    assert shown.returncode == 1 and f"nothing runs (Prefect's folder is {tmp_path})" in shown.stdout


def test_a_word_that_is_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_serve(["restart"])
    assert caught.value.code == 2 and "start" in capsys.readouterr().err


@pytest.fixture
def unused() -> int:
    """A port that nobody has."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
