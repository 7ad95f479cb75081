"""Scaling, and a rebuild with nothing changed.

The sample's network and the real compiler, from an empty store: what a build takes as its matrix grows, with one
evaluation image and no simulator, so that compiling is what grows. Then the largest once more with nothing changed.
Then 16 variants with a stand-in compiler, each of whose commands sleeps two seconds, on 1, 2 and 4 Dask workers,
each with a store of its own: what is left of the ideal is the price of distributing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import Server
from tests.benchmarks import whole
from tests.benchmarks.bench_build import COMPILES
from tests.benchmarks.page import Section
from tests.flows.machines import machines, until
from tests.flows.tiny import TinyBuild

PACKAGES = ("prefect", "distributed")

ROWS = {
    1: ('{chip = "BM1688", precisions = ["int8"]}',),
    4: (
        '{chip = "BM1688", precisions = ["int8"], batches = [1, 4]}',
        '{chip = "BM1684X", precisions = ["int8"], batches = [1, 4]}',
    ),
    16: (
        '{chip = "BM1684X", precisions = ["fp32", "fp16", "int8"], batches = [1, 4]}',
        '{chip = "BM1684", precisions = ["fp32", "int8"], batches = [1, 4]}',
        '{chip = "BM1688", precisions = ["fp32", "fp16", "int8"], batches = [1, 4]}',
    ),
    24: (
        '{chip = "BM1684X", precisions = ["fp32", "fp16", "int8"], batches = [1, 4]}',
        '{chip = "BM1684", precisions = ["fp32", "int8"], batches = [1, 2, 4]}',
        '{chip = "BM1688", precisions = ["fp32", "fp16", "int8"], batches = [1, 4], cores = [1, 2]}',
    ),
}
WORKERS = (1, 2, 4)
SLEEP_S = 2.0


def bench_matrix(section: Section, tmp_path: Path) -> None:
    """A build from nothing for each matrix, and the largest once more."""
    took: dict[int, whole.Took] = {}
    rows = []
    for count in ROWS:
        folder = tmp_path / f"matrix-{count}"
        took[count] = whole.build(folder, COMPILES, _profile(tmp_path, count))
        work = whole.steps(folder)
        calibration = next(one.seconds for one in work if one.slot == "calibrate")
        compiles = [one.seconds for one in work if one.slot.startswith("compile")]
        rows.append(
            (
                count,
                f"{took[count].seconds:.0f}",
                f"{took[count].cpu_s:.0f}",
                f"{calibration:.0f}",
                f"{sum(compiles) / len(compiles):.1f}",
                f"{whole.size_of(folder / 'store') / 1e6:.0f}",
                f"{took[count].peak_mb:.0f}",
            )
        )
    section.table(
        (
            "variants",
            "wall s",
            "processor s",
            "of it calibration, wall s",
            "mean compile, wall s",
            "store MB",
            "peak MB",
        ),
        rows,
    )
    more = (took[24].cpu_s - took[4].cpu_s) / 20
    section.say(
        f"Each further variant costs {more:.1f} s of processor time, from 4 to 24 on average (the first ones are int8 "
        "alone, the later ones hold the slower float compiles). Memory is that of the largest processes that run "
        "together, not of the matrix."
    )
    _nothing_changed(section, tmp_path / "matrix-24", _profile(tmp_path, 24))


def _nothing_changed(section: Section, folder: Path, profile: str) -> None:
    server = Server(folder / "server.log")
    try:
        server.wait()
        os.environ["PREFECT_API_URL"] = server.api_url
        with_server = [whole.build(folder, COMPILES, profile) for _ in range(3)]
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.stop()
    made = len(whole.steps(folder))
    alone = whole.build(folder, COMPILES, profile)
    imports = min(_imports(folder) for _ in range(3))
    median = sorted(one.seconds for one in with_server)[1]
    section.say(
        f"**Nothing changed**, 24 variants: {median:.1f} s whole process with a Prefect server running (median of 3), "
        f"{alone.seconds:.1f} s where the build starts its own; {made} steps worked, so no compiler was started. Of "
        f"the {median:.1f} s, {imports:.1f} s are imports (Prefect above all), {_looking(folder):.1f} s pass between "
        "the first and the last step's look-up, which reads and hashes every stored file; the rest is Prefect's run "
        "beginning and ending, the release being written and read back, and the summary."
    )


def _looking(folder: Path) -> float:
    """Seconds from the first to the last look-up of the newest run."""
    journal = max((folder / "store" / "journals").iterdir(), key=lambda path: path.stat().st_mtime)
    times = [float(line.partition('"time":')[2].partition(",")[0]) for line in journal.read_text().splitlines()]
    return max(times) - min(times)


def _imports(folder: Path) -> float:
    return whole.command([sys.executable, "-c", "import flows.build"], folder / "imports.log").seconds


def _profile(folder: Path, count: int) -> str:
    path = folder / f"matrix-{count}.toml"
    path.write_text('extends = "sample"\nmatrix = [\n' + "".join(f"  {row},\n" for row in ROWS[count]) + "]\n")
    return str(path)


def bench_workers(section: Section, tmp_path: Path) -> None:
    """The same build on several workers."""
    server = Server(tmp_path / "server.log")
    try:
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            seconds = {count: _on_workers(tmp_path / str(count), count, server.api_url) for count in WORKERS}
    finally:
        server.stop()
    slept = 2 + 1 + 8 + 16  # imports, the calibration, lowerings, compiles
    rows = [
        (
            count,
            f"{seconds[count]:.0f}",
            f"{seconds[1] / seconds[count]:.2f}",
            f"{SLEEP_S * slept / count:.0f}",
        )
        for count in WORKERS
    ]
    section.table(("workers", "wall s", "speed-up", "sleep s / workers"), rows)


def _on_workers(folder: Path, count: int, api_url: str) -> float:
    folder.mkdir()
    tiny = TinyBuild(folder)
    rows = "".join(f"  {row},\n" for row in ROWS[16])
    text = tiny.profile.read_text()
    start = text.index("matrix = [")
    tiny.profile.write_text(text[:start] + f"matrix = [\n{rows}]\n" + text[text.index("]\n\n", start) + 2 :])
    with machines(folder / "machines") as running:
        started = [running.start(f"worker-{number}", wait=False) for number in range(count)]
        for worker in started:
            until(worker.ready)
            (worker.folder / "compiler" / "takes").write_text(str(SLEEP_S))
        more = ("--set", f"exchange.folder={folder / 'exchange'}", "--set", "simulator.images=0")
        begun = time.perf_counter()
        process = tiny.start(*running.settings, *more, PREFECT_API_URL=api_url)
        shown = process.communicate()
        seconds = time.perf_counter() - begun
    _ended_well(process.returncode, shown)
    return seconds


def _ended_well(status: int, shown: Sequence[str]) -> None:
    if status != 0:
        raise RuntimeError(f"the build exited with {status}: {shown[1][-2000:]}")
