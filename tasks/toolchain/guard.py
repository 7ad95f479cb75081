"""Run one command so that nothing of it outlives whoever asked for it.

Usage: python -I -S guard.py PARENT COMMAND [ARGUMENT ...]

The compiler's console scripts start Python, which starts a shell, which starts `tpuc-opt`; killing the script leaves
the rest running, and it writes its result seconds later. This process stands between: it gives the command a session
of its own and ends everything below itself when it is asked to stop, when its parent dies (PR_SET_PDEATHSIG, prctl(2)),
and when the command has ended and left something behind. A process that leaves the session stays below, because orphans
are handed to us (PR_SET_CHILD_SUBREAPER).

Self-contained, standard library only: it runs as a file.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 2.0
NOT_STARTED = 127
SIGNALLED = 128

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_POLL_S = 0.02

_libc = ctypes.CDLL(None)


def main(parent: int, argv: list[str]) -> int:
    """Run the command to its end, or until this process is asked to stop.

    Args:
        parent: Id of the process that asked; when it is gone, nothing is started.
        argv: The command.

    Returns:
        Its exit status; 128 and the signal's number where a signal ended it or us; 127 where it could not be started.
    """
    # Blocked from here on and taken up below one by one: a handler could run while the command is being started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOP, signal.SIGCHLD})
    _libc.prctl(_SET_PDEATHSIG, signal.SIGTERM)
    _libc.prctl(_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # it died before it could be watched
        return SIGNALLED + signal.SIGTERM
    try:
        # preexec_fn is unsafe where there are threads; here are none.
        child = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL, preexec_fn=_prepare)  # noqa: PLW1509
    except OSError as error:
        print(f"guard: cannot start {argv[0]}: {error.strerror}", file=sys.stderr)
        return NOT_STARTED
    while (status := child.poll()) is None:
        number = signal.sigwait({*_STOP, signal.SIGCHLD})
        if number in _STOP:
            end_descendants(GRACE_S)
            return SIGNALLED + number
    left = end_descendants(0.0)
    if left:
        print(f"guard: ended {left} process(es) that the command had left running", file=sys.stderr)
    return status if status >= 0 else SIGNALLED - status


def end_descendants(grace_s: float) -> int:
    """End every process below this one.

    Args:
        grace_s: Seconds that they get after being asked, before they are killed.

    Returns:
        How many there were.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + grace_s
    while (living := descendants()) and time.monotonic() < deadline:
        for pid in living - asked:
            _signal(pid, signal.SIGTERM)
        asked |= living
        time.sleep(_POLL_S)
    # Again and again, for one that is killed may have started another since the list was made.
    deadline = time.monotonic() + GRACE_S
    while (living := descendants()) and time.monotonic() < deadline:
        for pid in living:
            _signal(pid, signal.SIGKILL)
        asked |= living
        time.sleep(_POLL_S)
    return len(asked)


def descendants() -> set[int]:
    """Return the ids of all living processes below this one, whatever session they are in."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, OSError, IndexError):
            # proc(5): pid (name) state ppid ...; the name may hold anything.
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def _prepare() -> None:
    # In the command's process, before it becomes the command. These survive the exec.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_STOP, signal.SIGCHLD})
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash of the compiler would leave gigabytes


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
