"""Kills processes of running builds, and looks at what is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.whole_build import descendants, is_alive
from tests.flows.folder import BuildFolder

KINDS = ("flow", "compiler", "interpreter", "simulator", "server", "guard")

# A minute is what an orphan may take to notice; a build whose part was killed has its other steps to end.
ORPHANS_S = 60.0
PATIENCE_S = 600.0
_POLL_S = 0.02
_TOOLS = ("model_transform", "run_calibration", "model_deploy", "tpuc-opt")


class Kill(NamedTuple):
    """One kill.

    Attributes:
        kind: What was killed; None where the build ended before such a process came.
        status: How the build ended.
        shown: What it said.
        orphans_s: How long the last process of it outlived it.
    """

    kind: str | None
    status: int
    shown: str
    orphans_s: float


@dataclass
class Tally:
    """What came of many kills.

    Attributes:
        killed: How many of each kind.
        survived: Kills of another process than the build's own that the build got over by itself.
        chains: Builds that were killed over and over, and ended well.
        orphans_s: The longest that a process outlived its build.
    """

    killed: Counter[str] = field(default_factory=Counter)
    survived: int = 0
    chains: int = 0
    orphans_s: float = 0.0

    @property
    def kills(self) -> int:
        """All kills together."""
        return sum(self.killed.values())

    def add(self, kill: Kill) -> None:
        """Count one."""
        self.orphans_s = max(self.orphans_s, kill.orphans_s)
        if kill.kind is not None:
            self.killed[kill.kind] += 1
            self.survived += kill.status == 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.killed + other.killed,
            self.survived + other.survived,
            self.chains + other.chains,
            max(self.orphans_s, other.orphans_s),
        )


def kind_of(line: str) -> str | None:
    """What a process below a build is, by its command line."""
    if "guard.py" in line:
        return None if "uvicorn" in line else "guard"
    if "worker_main.py" in line:
        return "simulator" if ".bmodel" in line else "interpreter"
    if "uvicorn" in line:
        return "server"
    return "compiler" if any(tool in line for tool in _TOOLS) else None


def of_folder(folder: Path) -> set[int]:
    """Ids of living processes, but for this one, that have anything to do with a folder."""
    found, name = set(), str(folder).encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            told += os.fsencode((entry / "cwd").readlink())
        except OSError:
            continue
        if name in told and is_alive(int(entry.name)):
            found.add(int(entry.name))
    return found - {os.getpid()}


def kill_one(
    build: BuildFolder, start: Callable[[], subprocess.Popen[Any]], kind: str, span_s: float, chance: random.Random
) -> Kill:
    """Start a build, kill one of its processes at a random moment, and wait until all of it is gone.

    Args:
        build: The build.
        start: Starts it, with what it says going into a file or a pipe named `stderr`.
        kind: What is killed.
        span_s: The moment is at most so many seconds after the build's start, or that of the first such process.
        chance: Chooses moment and process.

    Returns:
        What came of it.
    """
    process = start()
    killed = _kill(process, kind, chance.uniform(0.0, span_s), chance)
    shown = _ended(process, build)
    ended = time.monotonic()
    while left := of_folder(build.folder):
        assert time.monotonic() < ended + ORPHANS_S, f"{kind} was killed: {left} are still there"
        time.sleep(_POLL_S)
    return Kill(kind if killed else None, process.returncode, shown, time.monotonic() - ended)


def _kill(process: subprocess.Popen[Any], kind: str, delay_s: float, chance: random.Random) -> bool:
    if kind != "flow":
        while process.poll() is None and not _of_kind(process.pid, kind):
            time.sleep(_POLL_S)
    moment = time.monotonic() + delay_s
    while process.poll() is None:
        time.sleep(_POLL_S)
        victims = [process.pid] if kind == "flow" else _of_kind(process.pid, kind)
        if time.monotonic() >= moment and victims:
            os.kill(chance.choice(victims), signal.SIGKILL)
            return True
    return False


def _of_kind(root: int, kind: str) -> list[int]:
    return sorted(pid for pid, line in descendants(root).items() if kind_of(line) == kind)


def _ended(process: subprocess.Popen[Any], build: BuildFolder) -> str:
    try:
        if process.stderr is not None:
            return str(process.communicate(timeout=PATIENCE_S)[1])
        process.wait(PATIENCE_S)
        return (build.folder / "stderr").read_text()
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the build hangs; below it: {descendants(process.pid)}") from None
    finally:
        process.kill()


def kinds(total: int, chance: random.Random, share: Sequence[tuple[str, float]]) -> Iterator[str]:
    """What is to be killed, one after the other, in a random order with given shares."""
    names = [name for name, part in share for _ in range(round(part * total))]
    chance.shuffle(names)
    yield from names


def check_told(kill: Kill) -> None:
    """A build that lost one of its processes gets over it, or ends with one paragraph."""
    if kill.kind in (None, "flow"):
        assert kill.status == (0 if kill.kind is None else -signal.SIGKILL), kill.shown
    elif kill.status != 0:
        assert kill.status == 1 and "Traceback" not in kill.shown, (kill.kind, kill.status, kill.shown)
        assert "The build failed." in kill.shown or "error: " in kill.shown, (kill.kind, kill.shown)


def leftovers(build: BuildFolder) -> list[Path]:
    """Temporary files in a build's store, registry and release folder."""
    store, places = build.folder / "store", (build.folder / name for name in ("store", "registry", "release"))
    working = [path for name in ("scratch", "incoming", "quarantine") for path in (store / name).glob("*")]
    return working + [path for place in places for path in place.rglob("*") if path.suffix in (".part", ".tmp")]
