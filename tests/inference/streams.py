"""What the tests of the pipeline share: a small network, its images, and which of its threads run."""

from __future__ import annotations

import threading
from typing import List

import numpy as np

from artifacts.release import Variant
from inference.stream import Network
from tests.inference.engine_in_memory import SPEC, EngineInMemory
from tests.inference.videos import picture

WAIT_S = 20.0


def engine_of(batch: int) -> EngineInMemory:
    return EngineInMemory(Variant(chip="BM1688", precision="int8", batch=batch), SPEC)


def network(engine: EngineInMemory) -> Network:
    return Network(engine, SPEC, 0.35, 100)  # type: ignore[arg-type]


def pictures(count: int) -> List[np.ndarray]:
    return [picture(number % 20) for number in range(count)]


def running() -> List[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("centernet-")]
