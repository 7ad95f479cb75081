"""Steps on the workers of a Dask scheduler, and what comes back from them."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import distributed
from distributed.scheduler import KilledWorker
from prefect.client.schemas.objects import RunInput, State
from prefect.context import FlowRunContext
from prefect.states import Crashed
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from artifacts.store import Blob, ContentStore
from flows.cluster.capability import lacking, resources
from flows.cluster.errors import ClusterError, SchedulerLost, SchedulerNotReached, StepNotRun, WorkersGone
from flows.cluster.remote import Order
from tasks.journal import Entry, Outcome, append
from tasks.records import blobs_of
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

CONNECT_S = 10.0
WITHOUT_WORKER_S = 900.0
_WATCH_S = 5.0
# A scheduler that is frozen closes no connection: a quarter of an hour without an answer ends what waits for it.
_ANSWER_S = 30.0
_WARN_AFTER, _ENOUGH = 2, 26


class StepFuture(PrefectDaskFuture[Any]):
    """A step on a worker. What Dask itself gives up ends it too, as a crash that says why."""

    why: Callable[[BaseException], ClusterError]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the step is over, at most so many seconds."""
        try:
            self._final_state = self._wrapped_future.result(timeout=timeout)
        except (TimeoutError, distributed.TimeoutError):
            return
        except Exception as error:
            self._final_state = Crashed(message=str(error), data=self.why(error))

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Return what the step returned, or raise what it raised."""
        self.wait(timeout)
        if self._final_state is None:
            raise TimeoutError(f"the step was not done within {timeout} seconds")
        return self._final_state.result(raise_on_failure=raise_on_failure)


class Cluster(DaskTaskRunner):
    """Prefect's task runner for Dask, but a step travels by its name, not as code, and without this machine's settings.

    Args:
        address: The scheduler.
        workspace: The folders of this machine.
    """

    def __init__(self, address: str, workspace: Workspace) -> None:
        super().__init__(address=address, client_kwargs={"timeout": CONNECT_S, "name": "centernet-build"})
        self._workspace = workspace
        self._offered: set[Blob] = set()
        self.topic = f"centernet-{uuid4()}"
        self._futures: list[distributed.Future[Any]] = []
        self._gone: ClusterError | None = None

    def connect(self) -> distributed.Client:
        """Reach the scheduler.

        Raises:
            SchedulerNotReached: Nobody answers.
        """
        try:
            return self.client
        except (OSError, TimeoutError, ValueError) as error:
            raise SchedulerNotReached(str(self.address), str(error) or type(error).__name__) from error

    def submit(  # type: ignore[override]
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[Any] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> StepFuture:
        """Send a step to whichever worker fits.

        Args:
            task: The step; found on the worker by module and name.
            parameters: Its arguments; a future of another step is waited for there.
            wait_for: Futures of steps that have to be done before.
            dependencies: What the page of the run draws as its inputs.
        """
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        self._offer(parameters)
        run, given = uuid4(), {name: one.wrapped_future for name, one in parameters.items() if _is_future(one)}
        order = Order(
            module=task.fn.__module__,
            name=task.fn.__name__,
            parameters={name: value for name, value in parameters.items() if name not in given},
            task_run=run,
            flow_run=context.flow_run,
            dependencies=dependencies or {},
            topic=self.topic,
        )
        client: Any = self.client  # Dask's own methods have no types
        future = client.submit(
            _errand(),
            pickle.dumps(order),
            given,
            [one.wrapped_future for one in wait_for or () if _is_future(one)] or None,
            key=f"{task.name}-{run}",
            pure=False,
            resources=resources(1),
        )
        self._futures.append(future)
        return self._promise(future, run, task.name)

    def give_up(self, reason: ClusterError) -> None:
        """End all steps that are not done."""
        self._gone = reason
        client: Any = self.client
        client.cancel(self._futures, force=True)

    def _offer(self, parameters: dict[str, Any]) -> None:
        # Not all that a step is given came out of a step: downloads and files of this machine are handed over here.
        exchange = self._workspace.exchange
        if exchange is not None:
            blobs = set(blobs_of(tuple(parameters.values()))) - self._offered
            exchange.offer(sorted(blobs, key=lambda blob: blob.digest), ContentStore(Path(self._workspace.store)))
            self._offered |= blobs

    def _promise(self, future: distributed.Future[Any], run: UUID, name: str) -> StepFuture:
        promise = StepFuture(wrapped_future=future, task_run_id=run)
        promise.why = lambda error: self._why(error, name)
        return promise

    def _why(self, error: BaseException, name: str) -> ClusterError:
        if isinstance(error, KilledWorker):
            return StepNotRun(name, "every worker that tried it died")
        if isinstance(error, CancelledError):
            return self._gone or SchedulerLost(str(self.address))
        return StepNotRun(name, f"{type(error).__name__}: {error}")


def fitting(client: distributed.Client) -> tuple[dict[str, str], dict[str, str]]:
    """Sort the scheduler's workers by whether they have what this build needs.

    Args:
        client: The scheduler.

    Returns:
        Address to name of those that fit; name to what is different of the others.

    Raises:
        TimeoutError: The scheduler does not answer.
    """
    fit: dict[str, str] = {}
    others: dict[str, str] = {}
    dask: Any = client  # Dask's own methods have no types
    # `scheduler_info` would wait for ever.
    told = dask.sync(dask.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_S)
    for address, facts in told["workers"].items():
        name, different = str(facts["name"]), lacking(facts["resources"])
        if different:
            others[name] = different
        else:
            fit[address] = name
    return fit, others


@contextmanager
def followed(cluster: Cluster, run: str, workspace: Workspace) -> Iterator[None]:
    """Show and note here what the steps do on the workers, and see to it that there are any.

    Args:
        cluster: Connected.
        run: Id of the flow run.
        workspace: Where the run's journal is.
    """
    client: Any = cluster.client
    client.subscribe_topic(cluster.topic, _Listener(run, workspace))
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(cluster, ended), name="workers", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join(CONNECT_S)


class _Listener:
    def __init__(self, run: str, workspace: Workspace) -> None:
        self._run = run
        self._workspace = workspace
        self._since: dict[str, float] = {}
        self._made: set[str] = set()

    def __call__(self, event: tuple[float, str]) -> None:
        told = json.loads(event[1])
        entry, machine = Entry.model_validate_json(told["entry"]), told["machine"]
        if entry.slot in self._made and entry.outcome is Outcome.HIT:
            return  # a worker died after it was made, and another one looked for it
        append(self._workspace, self._run, entry)
        match entry.outcome:
            case Outcome.HIT:
                log.info("%s: stored result used on %s", entry.slot, machine)
            case Outcome.WANTED:
                self._since[entry.slot] = entry.time
                log.info("%s ... on %s", entry.slot, machine)
            case outcome:
                self._made |= {entry.slot} if outcome is Outcome.MADE else set()
                how = "done in" if outcome is Outcome.MADE else "failed after"
                seconds = max(0.0, entry.time - self._since.get(entry.slot, entry.time))
                log.info("%s: %s %.1f s on %s", entry.slot, how, seconds, machine)


def _watch(cluster: Cluster, ended: threading.Event) -> None:
    since: float | None = None
    silent = 0
    while not ended.wait(_WATCH_S):
        try:
            there = bool(fitting(cluster.client)[0])
        except TimeoutError:
            silent += 1
            if silent == _WARN_AFTER:
                log.warning("the scheduler %s does not answer; it is waited for", cluster.address)
            if silent >= _ENOUGH:
                cluster.give_up(SchedulerLost(str(cluster.address)))
                return
            continue
        except Exception:  # the scheduler is away: its futures end by themselves
            continue
        silent = 0
        if there:
            since = None
        elif since is None:
            since = time.monotonic()
            log.warning("the scheduler %s has no worker left that fits: waiting for one", cluster.address)
        elif time.monotonic() - since > WITHOUT_WORKER_S:
            cluster.give_up(WorkersGone(str(cluster.address), WITHOUT_WORKER_S))
            return


def _is_future(value: Any) -> bool:
    return isinstance(value, PrefectDaskFuture)


def _errand() -> Callable[..., State[Any]]:
    # A function inside a function travels as code. The scheduler unpacks what is sent through it, and a plain one need
    # not have our packages.
    def errand(payload: bytes, given: dict[str, Any], wait_for: list[Any] | None) -> State[Any]:
        from flows.cluster.remote import perform

        return perform(payload, given, wait_for)

    return errand
