"""What the terminal shows of a flow: one line a step, and at a failure one paragraph."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifacts.errors import ArtifactError, NoSpace
from artifacts.files import free_bytes
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


@contextmanager
def lines() -> Iterator[None]:
    """Show our own log on the standard error while the block runs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in OURS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
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
    error = _full_disk(error)
    if isinstance(error, TOLD):
        print(f"\nThe {what} failed. {error}", file=sys.stderr)
        return
    path = _traceback_file(error, logs)
    print(
        f"\nThe {what} failed on something that it does not foresee: {type(error).__name__}: {scrubbed(str(error))}\n"
        f"The traceback is in {path}. What is finished is kept; please report it with that file.",
        file=sys.stderr,
    )


def _full_disk(error: BaseException) -> BaseException:
    # Wherever something was being written: what to do is always the same.
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else Path.cwd()
        return NoSpace(path, free_bytes(path))
    return error


def _traceback_file(error: BaseException, logs: Path) -> Path:
    # Libraries put the address that they asked into their messages; somebody will send this file on.
    text = scrubbed("".join(traceback.format_exception(error)))
    name = f"unforeseen-{os.getpid()}-{secrets.token_hex(3)}.log"
    with suppress(OSError):
        logs.mkdir(parents=True, exist_ok=True)
        (logs / name).write_text(text)
        return logs / name
    # Everybody's folder: never through a link that somebody else put there.
    descriptor, made = tempfile.mkstemp(prefix="unforeseen-", suffix=".log")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    return Path(made)
