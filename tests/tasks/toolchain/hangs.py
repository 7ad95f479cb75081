"""Ways in which a command hangs, each as a program that stands for one of the compiler's."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tasks.errors import CommandTimedOut
from tasks.toolchain import command
from tasks.toolchain.model import Toolchain
from tasks.toolchain.run import run
from tests.tasks.toolchain.fakes import is_alive

_START = """
import os, signal, subprocess, sys, time
def here():
    with open({pids!r}, "a") as stream:
        stream.write(f"{{os.getpid()}}\\n")
here()
print("last words", flush=True)
"""

KINDS = {
    "sleeps": "time.sleep(600)",
    "computes": "while True: pass",
    "ignores the request to end": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)",
    "is stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "prints without end": "while True: print('x' * 1000, flush=True); time.sleep(0.001)",
    "waits for a child that left the session and ignores the request": (
        "if os.fork() == 0:\n"
        "    os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    if os.fork() == 0: here(); time.sleep(600)\n"
        "    here(); time.sleep(600)\n"
        "time.sleep(600)"
    ),
    "ended, but for a child with its output open": (
        "if os.fork() == 0:\n    os.setsid(); here(); time.sleep(600)\ntime.sleep(0.3); sys.exit(0)"
    ),
    "blocks with every signal blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(600)",
}


def hang(folder: Path, kind: str, limit_s: float) -> tuple[float, list[str]]:
    """Run a command that hangs.

    Args:
        folder: An empty one.
        kind: How.
        limit_s: Its time limit.

    Returns:
        Seconds until it was over, and what was wrong with that.
    """
    pids, wrong = folder / "pids", []
    (folder / "bin").mkdir(parents=True)
    (folder / "scratch").mkdir()
    tool = folder / "bin" / "model_transform"
    tool.write_text(f"#!{sys.executable} -IS\n{_START.format(pids=str(pids))}{KINDS[kind]}\n")
    tool.chmod(0o755)
    planned = command.transform((1, 3, 64, 64), timeout_s=limit_s)
    toolchain = Toolchain(
        name="tpu-mlir", version="1", fingerprint="sha256:" + "f" * 64, root=str(folder), python=sys.executable
    )
    started = time.monotonic()
    try:
        run(planned, toolchain, folder / "scratch", folder / "log")
        wrong.append("it was taken for done")
    except CommandTimedOut as error:
        if error.log_path != folder / "log" or "last words" not in error.log_path.read_text()[:1000]:
            wrong.append("its log is not kept")
    except Exception as error:
        if kind != "ended, but for a child with its output open":
            wrong.append(repr(error))
    seconds = time.monotonic() - started
    if any(is_alive(int(pid)) for pid in pids.read_text().split()):
        wrong.append("something of it is still running")
    return seconds, wrong
