"""A step: a Prefect task whose result is cached by content.

The key is made from the step's version, the digests of its inputs, the parts of the settings that it is given and the
toolchain's fingerprint, nothing else. A record on which a key hits is believed only after every blob that it names was
found and hashed; otherwise the next generation of the key is used, so that what is missing or damaged is made again.
A failure leaves no record. Two builds that want the same thing make it once: the second waits for the first's lock.

Where machines build together, records and blobs that this one lacks come from the exchange, and what a step made goes
there, its blobs first. A step that another machine sent works in this one's folders, with its compiler.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints
from uuid import UUID

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.results import get_result_store
from prefect.transactions import IsolationLevel

from artifacts.digest import digest_bytes, hex_of
from artifacts.errors import ArtifactError
from artifacts.files import atomic_write, storage_errors
from tasks.discretion import scrub
from tasks.errors import KeyFailure
from tasks.exchange.machine import own, own_workspace, tell
from tasks.exchange.sharing import hand_over
from tasks.generations import set_aside, usable_key
from tasks.journal import NAMED_CHANGES, Entry, Outcome, append
from tasks.keys import Fields, changes, key_fields, key_of
from tasks.locks import FlockLockManager
from tasks.log_reference import kept_log, left_log
from tasks.records import Record
from tasks.sealed import SealedSerializer
from tasks.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R", bound=Record)

log = logging.getLogger(__name__)


def step(
    *, version: int, slot: str, retries: int = 0, retry_on: tuple[type[Exception], ...] = ()
) -> Callable[[Callable[P, R]], Task[..., R]]:
    """Make a step out of a function that takes a workspace among its arguments and returns one record.

    Args:
        version: Raised when the function starts to give another result for the same arguments.
        slot: Name of this use of the step, such as `compile {variant}`; the arguments fill it. Last time's key is
            looked up by it, so it must not hold what may change.
        retries: How often it is tried again.
        retry_on: Errors that may pass; after any other it is not tried again.

    Returns:
        A decorator. The task's arguments are untyped, because futures of the records are passed as well as the records.
    """

    def decorate(function: Callable[P, R]) -> Task[..., R]:
        policy = StepKey(function=function, version=version, slot=slot)

        @functools.wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> R:
            use = _current_use()
            return function(*args, **kwargs) if use is None else use.carry_out(partial(_here, function, args, kwargs))

        return cast(
            "Task[..., R]",
            task(
                name=policy.name,
                version=str(version),
                task_run_name=slot,
                cache_policy=policy.configure(
                    isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FlockLockManager()
                ),
                persist_result=True,
                result_serializer=SealedSerializer(),
                retries=retries,
                retry_condition_fn=_may_pass(retry_on),
            )(body),
        )

    return decorate


@dataclass
class StepKey(CachePolicy):
    """Prefect's side of the key: computes it, checks the record behind it, and notes what it found."""

    function: Callable[..., Record] | None = None
    version: int = 0
    slot: str = ""

    @property
    def name(self) -> str:
        """The step's name."""
        return getattr(self.function, "__name__", "")

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the key of the first generation whose record is sound or absent; None when the step must fail."""
        run = task_ctx.task_run
        try:
            key, use = self._look_up(inputs, str(run.flow_run_id or "none"))
        except Exception as error:
            # Prefect would log this and run the step without a cache; the body raises it instead.
            _uses.set((run.id, error))
            return None
        _uses.set((run.id, use))
        return key

    def _look_up(self, inputs: Mapping[str, Any], run: str) -> tuple[str, _Use]:
        given = next((value for value in inputs.values() if isinstance(value, Workspace)), None)
        if given is None:
            raise KeyFailure(f"The step {self.name} is called without a workspace, so that nothing can be looked up.")
        workspace = own_workspace(given)
        fields = key_fields(self.name, self.version, inputs)
        slot = self.slot.format(**inputs)
        expected = get_type_hints(self.function)["return"]
        key, hit, damaged = usable_key(get_result_store(), key_of(fields), expected, workspace)
        before = _remembered(workspace, slot)
        changed = () if hit else changes(before, fields)
        entry = Entry(
            slot=slot,
            step=self.name,
            outcome=Outcome.HIT if hit else Outcome.WANTED,
            damaged=damaged,
            first=before is None,
            changed=changed[:NAMED_CHANGES],
            more_changed=len(changed[NAMED_CHANGES:]),
            time=time.time(),
            key=key,
        )
        _note(workspace, run, entry)
        if hit:
            log.info("%s: stored result used", slot)
            if before != fields:
                _remember(workspace, slot, fields)
        return key, _Use(workspace, run, entry, fields, key)


@dataclass(frozen=True)
class _Use:
    """One use of a step: what its key was made from, and the line that it has in the journal."""

    workspace: Workspace
    run: str
    entry: Entry
    fields: Fields
    key: str

    def carry_out(self, work: Callable[[], R]) -> R:
        log.info("%s ...", self.entry.slot)
        started = time.monotonic()
        try:
            # Steps also write through libraries and beside the store, which know nothing of our errors.
            with storage_errors(self.workspace.store):
                result = work()
            hand_over(self.workspace, self.key, result)
        except BaseException as error:
            scrub(error)
            # Said at once: other steps that are at work now are waited for before the build tells why.
            log.info("%s: failed after %.1f s%s", self.entry.slot, time.monotonic() - started, left_log(error))
            with suppress(ArtifactError):  # the work's own error says more than a journal that cannot be written
                self._tell(Outcome.FAILED)
            raise
        log.info("%s: done in %.1f s%s", self.entry.slot, time.monotonic() - started, kept_log(result))
        _remember(self.workspace, self.entry.slot, self.fields)
        self._tell(Outcome.MADE)
        return result

    def _tell(self, outcome: Outcome) -> None:
        _note(self.workspace, self.run, self.entry.model_copy(update={"outcome": outcome, "time": time.time()}))


def _here(function: Callable[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
    return function(*map(own, args), **{name: own(value) for name, value in kwargs.items()})


def _note(workspace: Workspace, run: str, entry: Entry) -> None:
    append(workspace, run, entry)
    tell(entry)


# What the key's computation found, for the body that Prefect runs after it in the same context.
_uses: ContextVar[tuple[UUID, _Use | Exception] | None] = ContextVar("use of a step", default=None)


def _current_use() -> _Use | None:
    """Return the use of the task run that is going on; None where the step is called as a plain function, by `.fn`."""
    context, found = TaskRunContext.get(), _uses.get()
    if context is None or found is None or found[0] != context.task_run.id:
        return None
    if isinstance(found[1], Exception):
        raise found[1]
    return found[1]


def _may_pass(kinds: tuple[type[Exception], ...]) -> Callable[[Any, Any, State[Any]], bool]:
    def condition(_task: Any, _run: Any, state: State[Any]) -> bool:
        return isinstance(state.result(raise_on_failure=False), kinds)

    return condition


def _explanation(workspace: Workspace, slot: str) -> Path:
    return workspace.explanations / f"{hex_of(digest_bytes(slot.encode()))[:32]}.json"


def _remember(workspace: Workspace, slot: str, fields: Fields) -> None:
    path = _explanation(workspace, slot)
    if path.is_dir():
        set_aside(workspace, path)  # nobody's build should end for the sake of an explanation
    atomic_write(path, json.dumps(fields, sort_keys=True).encode())


def _remembered(workspace: Workspace, slot: str) -> Fields | None:
    try:
        fields = json.loads(_explanation(workspace, slot).read_bytes())
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None
