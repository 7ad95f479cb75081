"""Long haul: a stream.

Photographs of COCO val2017 as JPEG files, over and over, through the stages of `Detector.stream` for half an hour, as
fast as an engine that takes the 4.4 ms of a chip allows. Sampled every ten seconds.
"""

from __future__ import annotations

from itertools import cycle

import pytest

from artifacts.release import PreprocessSpec
from inference.sources import open_source
from inference.stream import Network, run_stream
from tests.benchmarks.heads import SleepingEngine
from tests.conftest import COCO_MINI
from tests.reliability.flat import Clock, Watched
from tests.reliability.trials import Trials

STREAM_S = 1800.0
ENGINE_S = 0.0044
READERS = 2  # each has a file open for a moment

# Seen over half an hour although nothing leaks: the allocator's own coming and going.
ALLOWED_MIB = 10.0


def try_stream(trials: Trials) -> None:
    files = sorted((COCO_MINI / "val2017").rglob("*.jpg"))
    if not files:
        pytest.skip("the photographs are not here: a folder shared/coco-mini is looked for beside the checkout")
    watched, clock, done, due = Watched(), Clock(), 0, 0.0
    stream = run_stream(
        open_source(cycle(files)), Network(SleepingEngine(1, ENGINE_S), PreprocessSpec(), 0.35, 100), threads=READERS
    )
    for _ in stream:
        done += 1
        if clock.now >= due:
            watched.look(clock.now)
            due += 10.0
        if clock.now >= STREAM_S:
            break
    stream.close()
    span = watched.settled[-1].at - watched.settled[0].at
    assert watched.grows() * span < ALLOWED_MIB and watched.keeps_descriptors(READERS), watched.samples
    rate = f"{done / STREAM_S:.0f} images/s of at most {1 / ENGINE_S:.0f}; "
    trials.tried("images in one stream of half an hour", done, note=rate + watched.told("seconds", 600))
