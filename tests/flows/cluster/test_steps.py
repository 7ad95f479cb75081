"""Whole builds on several machines: a real scheduler, workers with stores of their own, the stand-in compiler."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from tasks.journal import Outcome
from tests.artifacts.remote.debian import docker_registry
from tests.flows.conftest import Run
from tests.flows.machines import Machines, Worker, inherited, machines, until
from tests.flows.test_build import STEPS
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]

DIRECT = {
    "trace",
    "curate",
    "check calibration set",
    "gate",
    "report",
    *(f"draw {what} scenes" for what in ("evaluation", "calibration", "golden")),
}


@pytest.fixture
def cluster(prefect_server: None, tmp_path: Path) -> Iterator[Machines]:
    with machines(tmp_path / "machines") as running:
        yield running


def holding(worker: Worker) -> bool:
    return (worker.folder / "compiler" / "held").exists()


def test_two_machines_build_what_one_builds(
    run: Run, tiny: TinyBuild, finished: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    shared = tiny.folder / "exchange"
    one, two = cluster.start("one", wait=False), cluster.start("two")
    until(one.ready)
    sharing = (*cluster.settings, "--set", f"exchange.folder={shared}")
    assert run(tiny, *sharing) == 0, capsys.readouterr().err
    shown = capsys.readouterr().err
    assert tiny.digest == finished.digest and tiny.made() == finished.made()
    assert tiny.calls() == [] and len(one.calls() + two.calls()) == len(finished.calls())
    assert shown.count(" done in ") == len(tiny.made()) == shown.count(" s on ") + len(tiny.made() & DIRECT)
    # What the machines have is what they needed, and lies in their own folders.
    assert (one.folder / "provisioned").read_text().split() == ["1.30.2", one.workspace.cache] * len(
        (one.folder / "provisioned").read_text().splitlines()
    )
    assert not {path.name for path in Path(one.workspace.store).iterdir()} & {"release", "registry"}

    # Once more, on one machine that has nothing: everything is in the exchange.
    (tiny.folder / "again").mkdir()
    again = TinyBuild(tiny.folder / "again")
    assert run(again, "--set", f"exchange.folder={shared}") == 0
    assert again.made() == set() and again.calls() == [] and again.digest == finished.digest


def test_a_machine_that_dies_in_the_middle_is_replaced_by_the_other(
    run: Run, tiny: TinyBuild, finished: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    one, two = cluster.start("one", wait=False), cluster.start("two", wait=False)
    until(lambda: one.ready() and two.ready())
    for worker in (one, two):
        (worker.folder / "compiler" / "hold").write_text("bm1688 .*--quantize F32")
    with docker_registry(tiny.folder / "server") as place:
        codes: list[int] = []
        sharing = ("--set", f"exchange.repository={place}/work")
        build = threading.Thread(target=lambda: codes.append(run(tiny, *cluster.settings, *sharing)))
        build.start()
        until(lambda: codes or holding(one) or holding(two))
        assert not codes, capsys.readouterr().err
        dead, other = (one, two) if holding(one) else (two, one)
        held = int((dead.folder / "compiler" / "held").read_text())
        for worker in (dead, other):
            (worker.folder / "compiler" / "hold").unlink()
        dead.kill()
        build.join()
    assert codes == [0], capsys.readouterr().err
    until(lambda: not Path(f"/proc/{held}").exists())
    assert tiny.digest == finished.digest


def test_a_scheduler_that_dies_in_the_middle_is_told(
    run: Run, tiny: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    worker = cluster.start("one")
    (worker.folder / "compiler" / "hold").write_text("run_calibration")
    codes: list[int] = []
    sharing = ("--set", f"exchange.folder={tiny.folder / 'exchange'}")
    build = threading.Thread(target=lambda: codes.append(run(tiny, *cluster.settings, *sharing)))
    build.start()
    until(lambda: codes or holding(worker))
    cluster.kill()
    build.join()
    shown = capsys.readouterr().err
    assert codes == [1] and "Traceback" not in shown
    assert (
        f"The Dask scheduler at {cluster.scheduler} went away or stopped answering while steps were at work." in shown
    )


@pytest.mark.parametrize("reason", ["nobody listens", "no worker", "a stranger"])
def test_a_scheduler_that_cannot_do_the_work_is_told_before_it_starts(
    reason: str, run: Run, tiny: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    address, stranger = cluster.scheduler, None
    if reason == "nobody listens":
        address = "tcp://127.0.0.1:9"
    if reason == "a stranger":
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler, "--no-nanny"]
        log = (cluster.folder / "stranger").open("wb")
        stranger = subprocess.Popen(command, cwd=cluster.folder, env=inherited(), stdout=log, stderr=log)
        until(lambda: b"Registered to" in (cluster.folder / "stranger").read_bytes())
    try:
        assert run(tiny, "--set", "runner.kind=dask", "--set", f"runner.scheduler={address}") == 1
    finally:
        if stranger is not None:
            stranger.kill()
            stranger.wait()
    shown = capsys.readouterr().err
    assert "Traceback" not in shown and not tiny.workspace.journals.exists()
    assert {
        "nobody listens": "No Dask scheduler answers at tcp://127.0.0.1:9",
        "no worker": "has no worker; then start workers: python -m flows.worker --scheduler tcp://",
        "a stranger": "not started by python -m flows.worker",
    }[reason] in shown


def test_workers_that_cannot_take_part_are_named_before_anything_starts(
    run: Run, tiny: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    cluster.start("apart")
    assert run(tiny, *cluster.settings) == 1
    assert "These workers have stores of their own: apart." in capsys.readouterr().err
    assert run(tiny, *cluster.settings, "--set", "exchange.repository=127.0.0.1:9/work") == 1
    assert "The exchange 127.0.0.1:9/work, where machines hand over" in capsys.readouterr().err
    assert not tiny.workspace.journals.exists()


def test_workers_of_one_machine_that_share_its_store_need_no_exchange(
    run: Run, tiny: TinyBuild, finished: TinyBuild, cluster: Machines, capsys: Capture
) -> None:
    worker = cluster.start("same", "--store", tiny.workspace.store)
    other = worker.toolchain.model_copy(update={"fingerprint": digest_bytes(b"changed by hand")})
    worker.use(other)
    assert run(tiny, *cluster.settings) == 1
    shown = capsys.readouterr().err
    assert worker.toolchain.fingerprint in shown and other.fingerprint in shown and "(on same)" in shown
    worker.use(worker.toolchain)
    assert run(tiny, *cluster.settings) == 0, capsys.readouterr().err
    assert tiny.digest == finished.digest
    assert tiny.entries()["import b1"].outcome is Outcome.MADE
    assert worker.end() == 0 and worker.log().count("ending; no step is at work") == 1


def test_the_steps_of_a_build_on_one_machine_are_those_of_several() -> None:
    assert STEPS | {"report"} > DIRECT
