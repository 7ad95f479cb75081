"""How close a stream comes to what the engine allows: ``python -m tests.inference.measure_stream [--seconds S]``.

The engine is a stand-in that sleeps as long as a chip computes, so that the host's own work is all that is measured:
4.4 ms for one image, 16 ms for four. The heads that it returns hold a dozen objects among weak noise, 80 classes at a
quarter of 512 x 512, so that decoding has its usual work. Not a test: it depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Tuple

import cv2
import numpy as np

from artifacts.bmodel import TensorInfo
from artifacts.release import PreprocessSpec
from inference.engines.base import EngineInfo
from inference.sources import open_source
from inference.stream import Network, run_stream

ENGINES = {1: 0.0044, 4: 0.016}
"""Seconds for a run of the batch size."""

SPEC = PreprocessSpec()


class SleepingEngine:
    """Takes as long as a chip would, and no processor time."""

    def __init__(self, batch: int, seconds: float) -> None:
        given = TensorInfo(name="data", dtype="float32", shape=(batch, 3, 512, 512))
        made = TensorInfo(name="heads", dtype="float32", shape=(batch, 84, 128, 128))
        self.info = EngineInfo("sleeping", "BM1684X", given, "float32", made)
        self._seconds = seconds
        generator = np.random.default_rng(0)
        self._heads = generator.normal(-6, 1, made.shape).astype(np.float32)
        for row in self._heads:
            for _ in range(12):
                y, x = generator.integers(2, 126, 2)
                row[generator.integers(80), y, x] = 2.0

    def run(self, batch: np.ndarray) -> np.ndarray:
        time.sleep(self._seconds)
        return self._heads[: len(batch)]

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> SleepingEngine:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class Speed(NamedTuple):
    images: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.images / self.seconds


def bare_rate(engine: SleepingEngine, seconds: float) -> float:
    """Images a second of the stand-in alone: sleeping takes a little longer than asked."""
    batch = np.empty(engine.info.input.shape, np.float32)
    started, runs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        engine.run(batch)
        runs += 1
    return runs * len(batch) / (time.perf_counter() - started)


def stream_speed(engine: Any, source: Iterable[Any], threads: int, warm_up: int = 40) -> Speed:
    """Run a stream to its end, and time it from some images on."""
    results = run_stream(open_source(source), Network(engine, SPEC, 0.35, 100), threads=threads)
    for _ in islice(results, warm_up):
        pass
    started, cpu, images = time.perf_counter(), time.process_time(), 0
    for _ in results:
        images += 1
    return Speed(images, time.perf_counter() - started, time.process_time() - cpu)


def arrays(count: int) -> Iterator[np.ndarray]:
    """Photograph-like arrays of 480 x 640: smooth, with noise."""
    images = [photograph(number) for number in range(8)]
    return islice(cycle(images), count)


def photograph(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + generator.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def files(folder: Path, count: int) -> Iterator[Path]:
    """JPEG files of 640 x 480."""
    paths: List[Path] = []
    for number in range(16):
        path = folder / f"{number}.jpg"
        path.write_bytes(cv2.imencode(".jpg", photograph(number))[1].tobytes())
        paths.append(path)
    return islice(cycle(paths), count)


def given_files(folder: Path, count: int) -> Iterator[Path]:
    """The JPEG files of a folder, over and over."""
    return islice(cycle(sorted(folder.glob("*.jpg"))), count)


def report(what: str, batch: int, threads: int, speed: Speed, limit: float, bare: float) -> None:
    print(
        f"| {what} | {batch} | {threads} | {speed.rate:.1f} | {limit:.1f} | {100 * speed.rate / limit:.1f} % "
        f"| {100 * speed.rate / bare:.1f} % | {1000 * speed.cpu_s / speed.images:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each run takes (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="the best of so many, on a machine that others use too")
    parser.add_argument("--jpegs", type=Path, help="a folder of photographs to use in place of generated ones")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OpenCV {cv2.__version__}\n")
    print("| source | batch | threads | images/s | limit | of the limit | of the engine alone | CPU ms an image |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for batch, seconds in ENGINES.items():
            engine, limit = SleepingEngine(batch, seconds), batch / seconds
            bare = bare_rate(engine, 1.0)
            count = int(limit * options.seconds)
            for what, threads in rows():
                speeds = []
                for _ in range(options.runs):
                    jpegs = given_files(options.jpegs, count) if options.jpegs else files(Path(folder), count)
                    speeds.append(stream_speed(engine, arrays(count) if what == "arrays" else jpegs, threads))
                report(what, batch, threads, max(speeds, key=lambda speed: speed.rate), limit, bare)


def rows() -> Iterator[Tuple[str, int]]:
    yield from (("arrays", threads) for threads in (1, 2, 4))
    yield from (("JPEG files", threads) for threads in (1, 2, 3, 4))


if __name__ == "__main__":
    main()
