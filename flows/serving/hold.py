"""The outermost process of a service: it holds the lock, and is the last to go.

Below it is the guard that the compiler's commands run under, below that what starts server and worker. Whichever of the
three is killed, another one ends everything that is left: this one adopts what the guard would have, and the guard ends
with its parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from flows.serving.place import Place, Status
from flows.serving.plan import Plan
from tasks.toolchain import guard

ALREADY_HELD = 3

_SET_CHILD_SUBREAPER = 36
_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
# What is below has this long to stop in order before the guard ends it.
_ORDERLY_S = 40


def main(plan: Plan) -> int:
    """Run a service to its end.

    Args:
        plan: What it runs.

    Returns:
        0 when it was asked to stop, `ALREADY_HELD` where one runs already, what the supervisor returned otherwise.
    """
    place = Place(plan.home)
    lock = place.claim()
    if lock is None:
        return ALREADY_HELD
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOP, signal.SIGCHLD, signal.SIGALRM})
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
    place.tell(Status(pid=os.getpid(), plan=plan, phase="starting"))
    below = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid()), *_supervisor(plan)],
        stdin=subprocess.DEVNULL,
        # With the lock, so that nobody starts another service while this one's parts are still going.
        pass_fds=(lock,),
        preexec_fn=_unblock,  # noqa: PLW1509 - no threads here
    )
    while (status := below.poll()) is None:
        number = signal.sigwait({*_STOP, signal.SIGCHLD, signal.SIGALRM})
        if number in _STOP:
            signal.alarm(_ORDERLY_S)
            _ask(place, below)
        elif number == signal.SIGALRM:
            below.terminate()
    guard.end_descendants(guard.GRACE_S)
    return status


def _ask(place: Place, below: subprocess.Popen[bytes]) -> None:
    status = place.last_words()
    if status is None or status.pid == os.getpid():  # the supervisor is not there yet
        below.terminate()
    else:
        ask_to_stop(status)


def ask_to_stop(status: Status) -> None:
    """Ask a service to end everything in order.

    Args:
        status: What it says of itself, with its lock held.
    """
    with suppress(ProcessLookupError):
        os.kill(status.pid, signal.SIGTERM)


def _supervisor(plan: Plan) -> list[str]:
    return [sys.executable, "-m", "flows.serving.supervise", plan.model_dump_json()]


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_STOP, signal.SIGCHLD, signal.SIGALRM})


if __name__ == "__main__":
    sys.exit(main(Plan.model_validate_json(sys.argv[1])))
