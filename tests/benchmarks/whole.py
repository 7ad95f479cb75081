"""Whole commands, timed from outside, and builds in folders of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_TICK = os.sysconf("SC_CLK_TCK")


class Took(NamedTuple):
    """What a command took.

    Attributes:
        seconds: Wall time.
        cpu_s: Processor time of the whole machine meanwhile; nothing else should run.
        busy: The share of all cores' time in which they worked, 0..1.
        peak_mb: Largest resident memory of the command and all processes below it together, sampled.
    """

    seconds: float
    cpu_s: float
    busy: float
    peak_mb: float


class Step(NamedTuple):
    """One step of a build that worked.

    Attributes:
        slot: Which use of the step.
        start_s: When it began, seconds after the first.
        end_s: When it was done.
    """

    slot: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end_s - self.start_s


def command(argv: Sequence[str | Path], log: Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Took:
    """Run a command to its end.

    Args:
        argv: The command.
        log: Gets both its streams.
        cwd: Where it runs.
        env: Its environment; this process's own where None.

    Raises:
        RuntimeError: It failed; the message ends with its last words.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    idle, total = _machine_ticks()
    started = time.perf_counter()
    with log.open("ab") as sink:
        process = subprocess.Popen(list(map(str, argv)), cwd=cwd, env=env, stdout=sink, stderr=subprocess.STDOUT)
        with _memory_of(process.pid) as peak:
            status = process.wait()
    seconds = time.perf_counter() - started
    idle_after, total_after = _machine_ticks()
    if status != 0:
        raise RuntimeError(f"{argv[0]} exited with {status}:\n{log.read_text(errors='replace')[-2000:]}")
    worked, all_ticks = (total_after - total) - (idle_after - idle), max(total_after - total, 1)
    return Took(seconds, worked / _TICK, worked / all_ticks, peak[0] / 1e6)


def build(folder: Path, settings: Mapping[str, object], profile: str = "sample") -> Took:
    """Run `python -m flows.build` with everything that it writes below a folder."""
    own = {
        "store.path": folder / "store",
        "release.repository": folder / "registry",
        "release.folder": folder / "release",
    }
    chosen = [part for key, value in {**own, **settings}.items() for part in ("--set", f"{key}={value}")]
    return command([sys.executable, "-m", "flows.build", "--profile", profile, *chosen], folder / "build.log")


def records(folder: Path, step: str) -> list[dict[str, Any]]:
    """Read the records that the steps of a name left in a build's store."""
    found = []
    for path in sorted((folder / "store" / "records").glob(f"{step}-*")):
        found.append(json.loads(json.loads(path.read_text())["result"])["data"])
    return found


def blob(folder: Path, record: Mapping[str, str]) -> Path:
    """Find the bytes that a record names."""
    kind, _, digest = record["digest"].partition(":")
    return folder / "store" / "blobs" / kind / digest


def steps(folder: Path) -> list[Step]:
    """Read when each step of a folder's newest build began and ended, in the order of their ends."""
    journal = max((folder / "store" / "journals").iterdir(), key=lambda path: path.stat().st_mtime)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    began = {line["slot"]: line["time"] for line in lines if line["outcome"] == "wanted"}
    first = min(began.values(), default=0.0)
    made = [line for line in lines if line["outcome"] == "made"]
    return [Step(one["slot"], began[one["slot"]] - first, one["time"] - first) for one in made]


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _machine_ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


@contextmanager
def _memory_of(pid: int) -> Iterator[list[float]]:
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            peak[0] = max(peak[0], _resident(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _resident(root: int) -> float:
    """Resident bytes of a process and all below it; shared pages count in each."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.name)], sizes[int(path.name)] = int(fields[1]), int(fields[21])
    found, grown = {root}, True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in found} - found
        found |= below
        grown = bool(below)
    return float(sum(sizes.get(pid, 0) for pid in found) * os.sysconf("SC_PAGE_SIZE"))
