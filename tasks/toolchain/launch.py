"""Start one process under the guard and wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tasks.toolchain import guard

# The guard ends everything within twice its grace; this is for a guard that cannot even do that.
_STOP_S = 2 * guard.GRACE_S + 5.0


def launch(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    sink: BinaryIO,
    timeout_s: float,
    folder: Path | None = None,
) -> int:
    """Run a command under the guard, in a session of its own and without standard input.

    Nothing of it is left when this returns or raises, nor a moment after this process died, however that happened.

    Args:
        argv: The command; its program is a path.
        environment: Its whole environment.
        sink: Open file for both its streams.
        timeout_s: Longest time that it may take, in seconds.
        folder: Its working folder; this process's own where None.

    Returns:
        Its exit status; 128 and the signal's number where a signal ended it; 127 where it could not be started.

    Raises:
        subprocess.TimeoutExpired: It took longer and was ended.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid()), *argv],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
    )
    try:
        status = process.wait(timeout=timeout_s)
    except BaseException:
        process.terminate()
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    return status if status >= 0 else guard.SIGNALLED - status
