"""What the terminal shows of a flow: one line a step, and at a failure one paragraph."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.files import disk_trouble
from flows.errors import FlowError
from inference.errors import InferenceError
from settings.errors import SettingsError
from settings.locations import scrubbed
from tasks.errors import TaskError

OURS = ("tasks", "flows", "artifacts", "inference")
"""The loggers of this project."""

TOLD = (TaskError, ArtifactError, InferenceError, SettingsError, FlowError)
"""What fails on purpose, with a paragraph that says everything."""

_QUIET = {
    "DO_NOT_TRACK": "1",
    # Prefect's lines go to its server, where its pages show them.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
}


def quiet_prefect() -> None:
    """Keep Prefect off the terminal and off the network; to be called before it is imported, which reads all this."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # A thread of Prefect's that does not know ours would start one of its own once ours is gone; killed, or left in a
    # hurry, this process would leave that one behind for ever.
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"


@contextmanager
def lines() -> Iterator[None]:
    """Show our own log on the standard error while the block runs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in OURS]
    # Else Prefect says of every line that does not reach a server's page that it did not.
    logging.raiseExceptions, raised = False, logging.raiseExceptions
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        logging.raiseExceptions = raised
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def tell_failure(error: BaseException, logs: Path, what: str = "build") -> None:
    """Tell in one paragraph why something failed; of what is not foreseen the traceback goes to a file.

    Args:
        error: What was raised.
        logs: Folder for the traceback; the machine's temporary folder serves where it cannot be written.
        what: What failed.
    """
    if isinstance(error, OSError):
        # Wherever something was being written: what to do is always the same.
        error = disk_trouble(error, logs.parent) or error
    if isinstance(error, TOLD):
        print(f"\nThe {what} failed. {error}", file=sys.stderr)
        return
    kept = _kept("".join(traceback.format_exception(error)), logs)
    print(
        f"\nThe {what} failed on something that it does not foresee: {type(error).__name__}: {scrubbed(str(error))}\n"
        f"{kept} What is finished is kept; please report it with that file.",
        file=sys.stderr,
    )


def _kept(text: str, logs: Path) -> str:
    """Write a traceback to a file and say where it is; it is said itself where no disk takes it."""
    # Libraries put the address that they asked into their messages; somebody will send this file on.
    text = scrubbed(text)
    with suppress(OSError):
        logs.mkdir(parents=True, exist_ok=True)
        path = logs / f"unforeseen-{os.getpid()}-{secrets.token_hex(3)}.log"
        path.write_text(text)
        return f"The traceback is in {path}."
    with suppress(OSError):  # also of gettempdir, where no disk takes anything
        # Everybody's folder: never through a link that somebody else put there.
        descriptor, made = tempfile.mkstemp(prefix="unforeseen-", suffix=".log")
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        return f"The traceback is in {made}."
    return f"No disk takes the traceback:\n{text}"
