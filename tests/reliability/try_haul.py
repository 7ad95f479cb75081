"""Long haul: detections.

A release opened by `Detector` on the stand-in of the vendor's runtime, from image to boxes: opened once, and opened and
closed each time. Memory is the resident memory of the process after every tenth; the slope is that of the line of least
squares through the later two thirds.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.release import PreprocessSpec, Variant
from inference.detector import Detector
from tests.inference.conftest import sail
from tests.inference.releases import write_release
from tests.inference.sail_files import sail_bmodel
from tests.reliability.flat import Watched
from tests.reliability.trials import Trials

__all__ = ["sail"]

DETECTIONS = 500
SPEC = PreprocessSpec(width=64, height=64)

# What may be seen over the whole haul although nothing leaks: the allocator's own coming and going.
ALLOWED_MIB = 2.0


def release(folder: Path) -> Path:
    """A release of one model for the stand-in of the vendor's runtime."""
    model = sail_bmodel(side=SPEC.width, classes=3)
    return write_release(folder, {Variant(chip="BM1684X", precision="fp32", batch=1): model}, spec=SPEC)


def opened_once(folder: Path, times: int, stand_in: Any) -> Watched:
    """Detect many times with one detector."""
    watched, image = Watched(), picture()
    with Detector(release(folder), engine="sail") as detect:
        for number in range(times):
            detect(image)
            stand_in.calls.clear()
            look(watched, number + 1)
    return watched


def opened_each_time(folder: Path, times: int, stand_in: Any) -> Watched:
    """Open, detect and close many times."""
    watched, image, model = Watched(), picture(), release(folder)
    for number in range(times):
        with Detector(model, engine="sail") as detect:
            detect(image)
        stand_in.calls.clear()
        stand_in.loaded.clear()
        look(watched, number + 1)
    return watched


def look(watched: Watched, number: int) -> None:
    """Take every tenth sample: the samples themselves must not be what grows."""
    if number % 10 == 0:
        watched.look(number)


def picture() -> np.ndarray:
    """Noise, as large as a photograph."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def check_flat(watched: Watched, allowed_mib: float = ALLOWED_MIB) -> None:
    """Nothing that was measured may grow."""
    span = watched.settled[-1].at - watched.settled[0].at
    assert watched.grows() * span < allowed_mib, watched.told("rounds", 1.0)
    assert watched.keeps_descriptors(0), watched.told("rounds", 1.0)


def try_detections(trials: Trials, sail: Any, tmp_path: Path) -> None:
    for what, haul in (("one detector", opened_once), ("a detector opened and closed each time", opened_each_time)):
        gc.collect()
        watched = haul(tmp_path / haul.__name__, DETECTIONS, sail)
        check_flat(watched)
        trials.tried(f"detections in a row, {what}", DETECTIONS, note=watched.told("detections", 100))
