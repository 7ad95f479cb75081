"""Throughput of a stream.

`Detector.stream` over an engine that sleeps as long as a chip would compute, 4.4 ms for one image or 16 ms for four,
and takes no processor time: what is missing to its limit is the host's fault, but for the tenth of a millisecond by
which a sleep is longer than asked. Each row is the best of three runs of about two seconds, since others use the
machine too; it says how many cores they had. *Arrays* are photographs of COCO val2017 read before; *JPEG files* are the
same photographs, about 640 x 480, read and decoded in the stream.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.images import read_image
from inference.preprocess import preprocess
from inference.sources import open_source
from inference.stream import Network, Result, run_stream
from tests.benchmarks.heads import SleepingEngine
from tests.benchmarks.page import Section

PACKAGES = ("numpy", "opencv-python-headless")

ENGINES = {1: 0.0044, 4: 0.016}
"""Seconds for a run of the batch size."""

IMAGES = 16
RUN_S = 2.0
ROUNDS = 3
WITHIN = 0.95
MEMORY_AT = (500, 5000)

Inputs = list[Path] | list[np.ndarray]


@dataclass
class Measured:
    """What the section is made of.

    Attributes:
        rows: Of the table of rates.
        shares: Part of the limit that was reached, by the kind of source, batch and number of threads.
        texts: Sentences behind the table.
    """

    rows: list[tuple[object, ...]] = field(default_factory=list)
    shares: dict[tuple[str, int, int], float] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def measured(section: Section) -> Iterator[Measured]:
    one = Measured()
    yield one
    if one.rows:
        header = (
            "source",
            "batch",
            "reading threads",
            "images/s",
            "limit",
            "of the limit",
            "our ms of a core an image",
            "others' cores",
        )
        section.table(header, one.rows)
        section.say(_within(one.shares))
    for text in one.texts:
        section.say(text)


@pytest.fixture(scope="module")
def sources(photographs: list[Path]) -> dict[str, Inputs]:
    files = [path for path in photographs if "val2017" in path.parts][:IMAGES]
    return {"arrays": [read_image(path) for path in files], "JPEG files": files}


def stream(engine: SleepingEngine, inputs: Iterable[Any], threads: int) -> Iterator[Result]:
    return run_stream(open_source(inputs), Network(engine, PreprocessSpec(), 0.35, 100), threads=threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["arrays", "JPEG files"])
@pytest.mark.parametrize("batch", ENGINES)
def bench_rate(
    benchmark: Any, measured: Measured, sources: dict[str, Inputs], batch: int, kind: str, threads: int
) -> None:
    engine, limit = SleepingEngine(batch, ENGINES[batch]), batch / ENGINES[batch]
    count = int(limit * RUN_S) // batch * batch

    def run() -> None:
        for _ in stream(engine, islice(cycle(sources[kind]), count), threads):
            pass

    started, ours, all_of_it = time.perf_counter(), time.process_time(), busy_s()
    benchmark.pedantic(run, rounds=ROUNDS)
    ours = time.process_time() - ours
    others = (busy_s() - all_of_it - ours) / (time.perf_counter() - started)
    rate = count / benchmark.stats.stats.min
    measured.shares[kind, batch, threads] = rate / limit
    used = f"{1000 * ours / ROUNDS / count:.2f}"
    reached = f"{rate / limit:.1%}"
    measured.rows.append((kind, batch, threads, f"{rate:.1f}", f"{limit:.1f}", reached, used, f"{max(others, 0):.1f}"))


def bench_reading_threads(benchmark: Any, measured: Measured, sources: dict[str, Inputs]) -> None:
    def read() -> None:
        for path in sources["JPEG files"]:
            preprocess(read_image(path), PreprocessSpec())

    benchmark._timer = time.process_time
    benchmark.pedantic(read, rounds=ROUNDS, warmup_rounds=1)
    each = benchmark.stats.stats.median / IMAGES
    loads = [f"{each * batch / seconds:.0%} at {1000 * seconds:g} ms for {batch}" for batch, seconds in ENGINES.items()]
    measured.texts.append(
        f"Reading, decoding and preprocessing a JPEG file takes {1000 * each:.1f} ms of a core. To keep up with "
        f"the engine takes so much of one core: {', '.join(loads)}. Where that is not free, decoding is the limit."
    )


def bench_memory(benchmark: Any, measured: Measured, sources: dict[str, Inputs]) -> None:
    engine = SleepingEngine(4, ENGINES[4])
    resident: dict[int, float] = {0: resident_mib()}

    def run() -> None:
        for number, _ in enumerate(stream(engine, islice(cycle(sources["JPEG files"]), MEMORY_AT[-1]), 2), start=1):
            if number in MEMORY_AT:
                resident[number] = resident_mib()

    benchmark.pedantic(run, rounds=1)
    before, early, late = resident.values()
    measured.texts.append(
        f"Resident memory of the process: {before:.0f} MiB before the stream, {early:.0f} MiB after {MEMORY_AT[0]} "
        f"JPEG files, {late:.0f} MiB after {MEMORY_AT[1]} (batch 4, two reading threads)."
    )


def _within(shares: dict[tuple[str, int, int], float]) -> str:
    """From how many reading threads on the limit was reached."""
    texts = []
    for kind, batch in dict.fromkeys(key[:2] for key in shares):
        missed = [threads for threads in (1, 2, 3, 4) if shares.get((kind, batch, threads), 1) < WITHIN]
        best = max(share for key, share in shares.items() if key[:2] == (kind, batch))
        reached = f"from {max(missed, default=0) + 1} on" if 4 not in missed else "not even with 4"
        texts.append(f"{kind}, batch {batch}: {reached} (at best {best:.1%})")
    return f"Reading threads that it takes to come within {1 - WITHIN:.0%} of the limit: {'; '.join(texts)}."


def busy_s() -> float:
    """Seconds of all cores that were used so far, by whomever."""
    user, nice, system, _, _, interrupt, soft, steal = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, interrupt, soft, steal))) / os.sysconf("SC_CLK_TCK")


def resident_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
