"""Server, worker and deployments on this machine: python -m flows.serve start | stop | status | run"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.standard_output import ended
from flows.errors import FlowError, NotServing, PortTaken
from flows.server import check_reachable
from flows.serving import hold
from flows.serving.farewell import cancel_runs
from flows.serving.place import Place, Status
from flows.serving.plan import LOOPBACK, Plan
from settings.locations import PROJECT

DONE, FAILED = 0, 1

_POLL_S = 0.1
_START_S = 420.0
_STOP_S = 60.0


def run_serve(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed or, asked for the status, nothing runs.
    """
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except (FlowError, ArtifactError) as error:
        print(error, file=sys.stderr)
        return FAILED


def start(options: argparse.Namespace) -> int:
    """Start everything in the background, and wait until it is ready."""
    plan = _plan(options)
    place = Place(plan.home)
    if place.is_held():
        return _tell_running(place)
    _check(plan)
    lock = place.claim()  # whether that can be had at all is better said here than in a log
    if lock is not None:
        os.close(lock)
    with place.log("service").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serving.hold", plan.model_dump_json()],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # It stays when the terminal goes.
            start_new_session=True,
        )
    return _wait_until_ready(place, process)


def run(options: argparse.Namespace) -> int:
    """Run everything in the foreground, for a service manager such as systemd."""
    plan = _plan(options)
    if not Place(plan.home).is_held():
        _check(plan)
    os.chdir(PROJECT)
    status = hold.main(plan)
    return _tell_running(Place(plan.home)) if status == hold.ALREADY_HELD else status


def stop(options: argparse.Namespace) -> int:
    """End everything that was started, runs too, and wait until it is gone."""
    place = Place(_home())
    if not place.is_held():
        print("nothing runs")
        return DONE
    status = _first_words(place)
    if status.phase == "ready":
        for run in cancel_runs(status.plan):
            print(f"cancelled: {run}")
    hold.ask_to_stop(status)
    deadline = time.monotonic() + _STOP_S
    while place.is_held():
        if time.monotonic() >= deadline:
            raise NotServing(f"It was asked to stop and goes on after {_STOP_S:g} s.", place.log("service"))
        time.sleep(_POLL_S)
    print("stopped; what was finished is kept, and scheduled runs wait for the next start")
    return DONE


def show(options: argparse.Namespace) -> int:
    """Print what runs."""
    place = Place(_home())
    status = place.status()
    if status is None:
        print(f"nothing runs (Prefect's folder is {_home()})")
        return FAILED
    print(f"{status.phase}{': ' if status.reason else ''}{status.reason}")
    print(f"pages     {status.plan.page}")
    for name, pid in status.parts.items():
        print(f"{name:<9} process {pid}, log {place.log(name)}")
    return DONE if status.phase == "ready" else FAILED


def _plan(options: argparse.Namespace) -> Plan:
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    named = settings.api.url
    port = None if named else options.port or settings.server.api.port
    address = (named or f"http://{LOOPBACK}:{port}/api").rstrip("/")
    return Plan(home=settings.home, api_url=address, port=port, keep_days=options.keep_days, slots=options.slots)


def _home() -> Path:
    from prefect.settings import get_current_settings

    return get_current_settings().home


def _check(plan: Plan) -> None:
    if plan.port is None:
        check_reachable(plan.api_url)
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, plan.port))
        except OSError as error:
            raise PortTaken(plan.port, error.strerror or str(error)) from error


def _wait_until_ready(place: Place, process: subprocess.Popen[bytes]) -> int:
    deadline, told = time.monotonic() + _START_S, ""
    while time.monotonic() < deadline:
        status = place.last_words()
        if process.poll() is not None:
            if process.returncode == hold.ALREADY_HELD:  # another start was quicker
                return _tell_running(place)
            reason = status.reason if status is not None and status.phase == "failed" else "It ended at its start."
            raise NotServing(reason, place.log("service"))
        if status is not None and status.phase == "ready":
            _tell_ready(status)
            return DONE
        if status is not None and status.reason not in ("", told):
            told = status.reason
            print(f"{told} ...", flush=True)
        time.sleep(_POLL_S)
    process.terminate()
    raise NotServing(f"It was not ready after {_START_S:g} s.", place.log("service"))


def _tell_ready(status: Status) -> None:
    print(
        f"\nready: {status.plan.page}\n"
        "  start a build there (Deployments, build/sample, Run), or by\n"
        f"  {Path(sys.executable).parent / 'prefect'} deployment run build/sample --watch\n"
        "  the compiler is looked after once a day (watch/watch)\n"
        f"  it ends by: {sys.executable} -m flows.serve stop"
    )


def _tell_running(place: Place) -> int:
    status = _first_words(place)
    print(f"it runs already ({status.phase}): {status.plan.page}")
    return DONE


def _first_words(place: Place) -> Status:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        status = place.status()
        if status is not None:
            return status
        time.sleep(_POLL_S)
    raise NotServing("Something holds its lock and says nothing.", place.log("service"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.serve", description="Prefect's server, a worker and the deployments on this machine."
    )
    commands = parser.add_subparsers(required=True, metavar="start | stop | status | run")
    for name, function in (("start", start), ("stop", stop), ("status", show), ("run", run)):
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(run=function)
        if name in ("start", "run"):
            _add_choices(command)
    return parser


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--port", type=int, metavar="N", help="port of the server (PREFECT_SERVER_API_PORT, else 4200)"
    )
    command.add_argument(
        "--keep-days",
        type=float,
        default=90,
        metavar="DAYS",
        help="how long the server keeps finished runs with their logs and pages (%(default)s)",
    )
    command.add_argument("--slots", type=int, default=4, metavar="N", help="runs at work at once (%(default)s)")


if __name__ == "__main__":
    sys.exit(ended(run_serve, sys.argv[1:]))
