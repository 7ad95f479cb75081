"""Do steps for builds of other machines: python -m flows.worker --scheduler tcp://HOST:8786 [--store FOLDER]"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.environment import shut_to_others
from artifacts.errors import StoreNotWritable
from flows import terminal
from flows.cluster.errors import DaskMissing, PrefectUnnamed, SchedulerNotReached
from flows.server import check_reachable
from settings.operations import SCHEDULER_PATTERN
from tasks.toolchain.provision import cache_root

if TYPE_CHECKING:
    from distributed import Worker

    from tasks.exchange.machine import Machine

DONE, FAILED, WRONG_USAGE = 0, 1, 2

CORES_PER_SLOT = 2
"""The compiler's and the interpreter's commands keep about two cores busy (`toolchain.omp_threads`)."""

_CONNECT_S = 30.0
_LEAVE_S = 20.0

log = logging.getLogger("flows.worker")  # also where it is run as __main__


def main(argv: Sequence[str]) -> int:
    """Run the worker until a signal ends it, or the scheduler goes away.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 ended by a signal, 1 failed, 2 wrong usage.
    """
    options = _parser().parse_args(argv)
    shut_to_others()
    store = options.store.expanduser().absolute()
    _quiet(store)
    with terminal.lines():
        try:
            _check(store)
            return asyncio.run(_serve(options.scheduler, options.slots, _machine(options, store)))
        except Exception as error:
            terminal.tell_failure(error, store / "logs", what="worker")
            return FAILED


def default_slots(cores: int | None) -> int:
    """Return how many steps a machine of so many cores does at a time."""
    return max(1, (cores or 1) // CORES_PER_SLOT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.worker", description="Do steps for builds that run on several machines."
    )
    parser.add_argument(
        "--scheduler", required=True, type=_address, metavar="tcp://HOST:PORT", help="the Dask scheduler"
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=cache_root() / "worker",
        metavar="FOLDER",
        help="this machine's store (default: worker, in the cache folder)",
    )
    parser.add_argument(
        "--slots",
        type=_slots,
        default=default_slots(os.cpu_count()),
        metavar="N",
        help="steps at a time (default: one for two cores)",
    )
    parser.add_argument(
        "--exchange",
        type=Path,
        metavar="FOLDER",
        help="where this machine sees the folder of the exchange, if not where the others see it",
    )
    parser.add_argument(
        "--name", default=socket.gethostname(), help="what it is called in messages (default: the host's)"
    )
    return parser


def _address(text: str) -> str:
    if not re.fullmatch(SCHEDULER_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as tcp://build-1:8786")
    return text


def _slots(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 256")
    return int(text)


def _quiet(store: Path) -> None:
    # Read when Prefect and Dask are imported. The records lie in the store, as those of a build do.
    terminal.quiet_prefect()
    os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = str(store / "records")
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")


def _check(store: Path) -> None:
    try:
        import distributed  # noqa: F401
        import prefect_dask  # noqa: F401
    except ModuleNotFoundError as error:
        raise DaskMissing(str(error.name)) from error
    from prefect.settings import PREFECT_API_URL

    named = PREFECT_API_URL.value()
    if not named:
        raise PrefectUnnamed()
    check_reachable(named)
    try:
        (store / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(store, error.strerror or str(error)) from error


def _machine(options: argparse.Namespace, store: Path) -> Machine:
    from tasks.exchange.machine import Machine

    exchange = None if options.exchange is None else str(options.exchange.expanduser().absolute())
    return Machine(name=options.name, store=str(store), cache=str(cache_root()), exchange_folder=exchange)


async def _serve(scheduler: str, slots: int, machine: Machine) -> int:
    from distributed import Worker

    from artifacts.store import ContentStore
    from flows.cluster import remote
    from flows.cluster.capability import resources

    remote.settle_in(machine)
    ContentStore(machine.store).sweep()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        worker = await Worker(
            scheduler,
            nthreads=slots,
            name=f"{machine.name}-{os.getpid()}",
            resources=resources(slots),
            # What a step needs, it needs: pausing or ending it at a share of the memory would only repeat it elsewhere.
            memory_limit=0,
            local_directory=str(Path(machine.store) / "dask"),
            death_timeout=_CONNECT_S,
            dashboard=False,
        )
    except (OSError, TimeoutError) as error:
        raise SchedulerNotReached(scheduler, str(error) or type(error).__name__) from error
    log.info("%s works for %s: %d step(s) at a time, store %s", machine.name, scheduler, slots, machine.store)
    ended = asyncio.create_task(worker.finished())
    await asyncio.wait({asyncio.create_task(stop.wait()), ended}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        log.error("the scheduler %s went away", scheduler)
        _leave(FAILED)
    await _withdraw(worker)
    return DONE


async def _withdraw(worker: Worker) -> None:
    from flows.cluster import remote

    busy = remote.at_work()
    log.info("ending; %s", f"{busy} step(s) that are at work go to other workers" if busy else "no step is at work")
    with suppress(Exception):  # a scheduler that is gone, or no other worker to go to
        await asyncio.wait_for(worker.close_gracefully(), _LEAVE_S)
    _leave(DONE)


def _leave(status: int) -> None:
    # Not sys.exit where steps are at work: the interpreter would wait for their threads. Their processes end with us.
    from flows.cluster import remote

    if remote.at_work():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
