"""Prefect's server stopped in the middle of a build, as by a debugger, a full host or a suspended machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.flows.tiny import TinyBuild, wait_until

# Fifteen minutes become seconds.
IMPATIENT = "import flows.pulse as p\np.PULSE_S, p.ANSWER_S, p.WARN_AFTER, p.ENOUGH = 0.5, 1.0, 2, 12\n"


def server_of(build: subprocess.Popen[str]) -> int:
    """Return the process id of the server that a build started."""
    for pid in descendants(build.pid):
        command = _command(pid)
        if "uvicorn" in command and "guard.py" not in command:
            return pid
    raise AssertionError("the build has no server")


def descendants(pid: int) -> list[int]:
    """Return all processes below one."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, listing.read_text().split()):
                found += [child, *descendants(child)]
    return found


def frozen_in(build: TinyBuild, step: str, number: int = signal.SIGSTOP) -> tuple[int, str, float, list[int]]:
    """Run a build whose server is stopped while the compiler is at work.

    Args:
        build: Not yet run.
        step: Pattern of the compiler's command that is held.
        number: The signal that the server gets.

    Returns:
        Exit status, what it printed on the standard error, how long it took from there, and what of it was running.
    """
    build.switch("hold", step)
    (build.folder / "home").mkdir()
    process = build.start(preamble=IMPATIENT, PREFECT_HOME=str(build.folder / "home"))
    try:
        wait_until((build.environment / "held").exists, [process])
        time.sleep(2.0)  # the server is known by then
        os.kill(server_of(process), number)
        began, below = time.monotonic(), descendants(process.pid)
        build.switch("hold", None)
        said = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    return process.returncode, said, time.monotonic() - began, below


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
