"""The one door through which commands of the toolchain run."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

from artifacts.files import free_bytes, storage_errors
from tasks.errors import CommandFailed, CommandTimedOut, OutputAmbiguous, OutputMissing
from tasks.progress import shown
from tasks.toolchain.command import Command, Expected, Outputs
from tasks.toolchain.diagnose import DISK_FULL, Diagnosis, diagnose
from tasks.toolchain.launch import launch
from tasks.toolchain.model import Toolchain

log = logging.getLogger(__name__)

_TAIL_BYTES = 64_000
_ROUNDS = re.compile(rb"\b(\d{1,9})/(\d{1,9}) \[")
# With less than this left, whatever the log says was caused by the disk; the log itself may be cut short by it.
_FULL_BYTES = 16_000_000


def run(command: Command, toolchain: Toolchain, folder: Path, log_path: Path, *, omp_threads: int = 2) -> float:
    """Run one command in its folder and judge it by what it left.

    The command gets a session of its own, no standard input, an environment without anything of the caller's, and one
    log file for both its streams. It ends with this process, however this process ends.

    Args:
        command: The planned command.
        toolchain: Where its program is.
        folder: Scratch folder that already holds the command's inputs and nothing of another command.
        log_path: Where both streams go, between the command line and the exit status; outside the scratch folder, so
            that it outlives it.
        omp_threads: OMP_NUM_THREADS. One makes the interpreter 10 to 70 times slower, more than there are cores costs
            30 %.

    Returns:
        Wall time in seconds.

    Raises:
        CommandTimedOut: It took longer than its limit; every process of it was ended.
        CommandFailed: It exited with a status other than 0. The message holds cause and next step where the log is
            understood.
        OutputMissing: It exited with 0 and left less than it must.
        OutputAmbiguous: It left several files where one was expected.
        NoSpace: The log cannot be written.
    """
    log.debug("running %s", shlex.join(command.argv))
    argv = [str(toolchain.bin / command.tool), *command.arguments]
    started = time.monotonic()
    # Unbuffered: what could not be written because the disk is full must not come back when the file is closed.
    with log_path.open("wb", buffering=0) as sink:
        with storage_errors(log_path.parent):
            set_before = "".join(f"{name}={shlex.quote(value)} " for name, value in command.variables)
            sink.write(f"$ {set_before}{shlex.join(command.argv)}\n".encode())
        try:
            with shown(command.name, lambda: share_done(log_path, command.rounds)) if command.rounds else nullcontext():
                status = launch(
                    argv,
                    environment={**environment(toolchain, folder, omp_threads), **dict(command.variables)},
                    sink=sink,
                    timeout_s=command.timeout_s,
                    folder=folder,
                )
        except subprocess.TimeoutExpired:
            raise CommandTimedOut(command.name, command.argv, command.timeout_s, log_path) from None
        seconds = time.monotonic() - started
        with suppress(OSError):
            sink.write(f"\n[exit status {status} after {seconds:.1f} s]\n".encode())
    if status != 0:
        raise CommandFailed(command.name, command.argv, status, log_path, _diagnosis(log_path, folder))
    for expected in command.expects:
        outputs(expected, folder, command, log_path)
    return seconds


def share_done(log_path: Path, rounds: int) -> float:
    """Read from the end of a command's log how far it is.

    Args:
        log_path: The log, which is being written.
        rounds: How many rounds the command counts, each as `17/200 [`; what counts to another number is something else.

    Returns:
        The share that is done, 0..1.
    """
    counted = [int(done) for done, of in _ROUNDS.findall(_tail(log_path)) if int(of) == rounds]
    return min(counted[-1] / rounds, 1.0) if counted else 0.0


def outputs(expected: Expected, folder: Path, command: Command, log_path: Path) -> list[Path]:
    """Return what a command left for one expectation: none, one and several are three cases.

    Args:
        expected: The pattern, and how many files may match it.
        folder: Where the command ran.
        command: The command, for messages.
        log_path: Its log.

    Returns:
        The files, in order of their names.

    Raises:
        OutputMissing: Nothing, or an empty file. Exit status 0 is not success.
        OutputAmbiguous: Several where one was expected.
    """
    found = sorted(path for path in folder.glob(expected.pattern) if path.is_file())
    if expected.count is Outputs.ONE:
        if len(found) > 1:
            raise OutputAmbiguous(command.name, expected.pattern, tuple(path.name for path in found))
        if not found or found[0].stat().st_size == 0:
            raise OutputMissing(command.name, command.argv, expected.pattern, log_path, _diagnosis(log_path, folder))
    return found


def environment(toolchain: Toolchain, folder: Path, omp_threads: int) -> Mapping[str, str]:
    """Return the environment of every command: nothing is inherited, so no secret of ours can reach it.

    Args:
        toolchain: Where its programs are.
        folder: Its scratch folder, which is its home and its place for temporary files too.
        omp_threads: OMP_NUM_THREADS; the compiler's own default oversubscribes.

    Returns:
        Variables by name.
    """
    return {
        "PATH": os.pathsep.join((str(toolchain.bin), "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(omp_threads),
        # Else each thread that has nothing to do spins for 200 ms, on a core that another process could use.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _diagnosis(log_path: Path, folder: Path) -> Diagnosis | None:
    free = free_bytes(folder)
    if free is not None and free < _FULL_BYTES:
        return DISK_FULL
    return diagnose(_tail(log_path).decode("utf-8", "replace"))


def _tail(log_path: Path) -> bytes:
    with log_path.open("rb") as stream:
        stream.seek(max(0, log_path.stat().st_size - _TAIL_BYTES))
        return stream.read()
