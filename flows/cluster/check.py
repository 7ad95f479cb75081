"""What is looked at before a build on several machines starts: whether each worker can take part."""

from __future__ import annotations

import logging
import secrets
from uuid import UUID

import distributed

from artifacts.files import atomic_write
from flows.cluster.errors import ExchangeNeeded, NoWorker, WorkersUnfit
from flows.cluster.remote import Answer, Question, answer
from flows.cluster.steps import Cluster, fitting
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


def check_workers(cluster: Cluster, run: UUID, workspace: Workspace) -> None:
    """Make sure that the workers can do the steps of a build, and hand over to each other what they make.

    Args:
        cluster: The scheduler; is connected.
        run: Id of the flow run.
        workspace: The folders of this machine.

    Raises:
        SchedulerNotReached: Nobody answers.
        NoWorker: The scheduler has none, or none with this code, these packages and this Python.
        WorkersUnfit: A worker knows another Prefect server, or cannot use the exchange.
        ExchangeNeeded: A worker has a store of its own, and no exchange is set.
        ExchangeUnreachable: This machine cannot use the exchange.
    """
    client = cluster.connect()
    fit, others = fitting(client)
    if not fit:
        raise NoWorker(str(cluster.address), others)
    for name, what in others.items():
        log.warning("the worker %s gets no step of this build: %s", name, what)
    if workspace.exchange is not None:
        workspace.exchange.prepare()
    answers = _asked(client, list(fit), run, workspace)
    problems = {one.name: one.problem for one in answers if one.problem}
    if problems:
        raise WorkersUnfit(problems)
    apart = [one.name for one in answers if not one.same_store]
    if apart and workspace.exchange is None:
        raise ExchangeNeeded(apart)
    log.info("%d worker(s): %s", len(answers), ", ".join(sorted(one.name for one in answers)))


def _asked(client: distributed.Client, workers: list[str], run: UUID, workspace: Workspace) -> list[Answer]:
    # Two machines may have different folders under one path: only a file tells.
    with workspace.content.scratch("workers") as folder:
        token = folder / secrets.token_hex(16)
        atomic_write(token, b"")
        question = Question(run, str(token.relative_to(workspace.content.root)), workspace)
        answers: dict[str, Answer] = client.run(answer, question, workers=workers)
    return list(answers.values())
