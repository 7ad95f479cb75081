"""The worker as a command: what it is told, what it refuses, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.worker import default_slots, main
from tests.flows.machines import Machines, machines, until

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--scheduler"),
        (["--scheduler", "build-1:8786"], "'build-1:8786' is no address such as tcp://build-1:8786"),
        (["--scheduler", "tcp://build-1:8786", "--slots", "0"], "'0' is no number from 1 to 256"),
        (["--scheduler", "tcp://build-1:8786", "--slots", "two"], "'two' is no number from 1 to 256"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(("cores", "slots"), [(None, 1), (1, 1), (2, 1), (3, 1), (16, 8)])
def test_a_machine_does_one_step_at_a_time_for_every_two_cores(cores: int | None, slots: int) -> None:
    assert default_slots(cores) == slots


def test_a_worker_that_cannot_start_says_why(prefect_server: None, tmp_path: Path) -> None:
    with machines(tmp_path / "machines") as cluster:
        unnamed = cluster.start("unnamed", wait=False, PREFECT_API_URL="")
        away = cluster.start("away", wait=False, PREFECT_API_URL="http://127.0.0.1:9/api")
        full = cluster.start("full", "--store", "/proc/store", wait=False)
        nobody = Machines(cluster.folder, "tcp://127.0.0.1:9").start("nobody", wait=False)
        for worker, message in (
            (unnamed, "PREFECT_API_URL is not set."),
            (away, "No Prefect server answers at http://127.0.0.1:9/api"),
            (full, "Cannot write below /proc/store"),
            (nobody, "No Dask scheduler answers at tcp://127.0.0.1:9"),
        ):
            until(lambda worker=worker: worker.process.poll() is not None)  # type: ignore[misc]
            assert worker.process.returncode == 1
            assert message in worker.log() and "Traceback" not in worker.log()


def test_a_worker_ends_when_its_scheduler_goes_for_a_service_manager_to_start_it_again(
    prefect_server: None, tmp_path: Path
) -> None:
    with machines(tmp_path / "machines") as cluster:
        worker = cluster.start("one")
        cluster.kill()
        until(lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 1 and "the scheduler tcp://127.0.0.1:" in worker.log()
