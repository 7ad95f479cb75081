"""``python -m inference bench``: how long each stage takes for an image."""

from __future__ import annotations

import argparse
import time
from typing import Callable, Dict, List, Sequence

import cv2
import numpy as np

from artifacts.variant import Record
from inference.commands.which_model import open_detector
from inference.deploy.local import local_release
from inference.detector import Detector
from inference.images import read_image
from inference.measuring import Figures, Setting, Timer, figures_text, setting_of, write_report
from inference.output_files import check_writable
from inference.sources import list_images

GENERATED_SIZE = (720, 1280)
_GENERATED = 4


class BenchReport(Record):
    """What a run of `bench` measured.

    Attributes:
        setting: What it was made with.
        source: Where the images come from.
        images: How many were measured; an image can have come more than once.
        images_per_call: How many the engine was given at once.
        load_s: Seconds until the model was loaded.
        stages: Times of an image in each stage, and ``total`` of all.
        images_per_second: The stages one after the other, as `Detector.detect` runs them.
    """

    setting: Setting
    source: str
    images: int
    images_per_call: int
    load_s: float
    stages: Dict[str, Figures]
    images_per_second: float


def bench(options: argparse.Namespace) -> BenchReport:
    """Run the command.

    Args:
        options: ``model``, ``engine``, ``device``, ``preprocess``, ``chip``, ``precision``, ``batch``, ``io``,
            ``input``, ``images``, ``seconds``, ``warm_up`` and ``json``.

    Returns:
        What was measured; it was printed, and written where ``json`` names a file.

    Raises:
        ImageError: An image of ``input`` cannot be read.
        InferenceError: The model or the engine failed, or the report cannot be written, which is found out first.
    """
    if options.json is not None:
        check_writable(options.json)
    pictures = (
        generated_images() if options.input is None else [read_image(path) for path in list_images(options.input)]
    )
    started = time.perf_counter()
    with open_detector(local_release(options.model), options) as detector:
        load_s = time.perf_counter() - started
        timer = measure(detector, pictures, images=options.images, seconds=options.seconds, warm_up=options.warm_up)
        report = BenchReport(
            setting=setting_of(detector, options.device),
            source="{2} generated images of {1} x {0}".format(*GENERATED_SIZE, _GENERATED)
            if options.input is None
            else str(options.input),
            images=timer.images,
            images_per_call=detector.model.variant.batch,
            load_s=load_s,
            stages={name: one for name, one in timer.figures().items() if name != "read"},
            images_per_second=timer.images_per_second(),
        )
    _print(report)
    if options.json is not None:
        write_report(options.json, report)
    return report


def measure(
    detector: Detector,
    pictures: Sequence[np.ndarray],
    *,
    images: int,
    seconds: float,
    warm_up: int,
    clock: Callable[[], float] = time.monotonic,
) -> Timer:
    """Call a detector with full batches until the images or the seconds are used up, at least once.

    Args:
        detector: The detector.
        pictures: uint8 [H, W, 3] each, in BGR order; taken round and round.
        images: About how many images are measured: whole batches.
        seconds: No call begins after so long.
        warm_up: Calls that are made before and not counted: the first ones load code and fill caches.
        clock: Seconds that pass.

    Returns:
        The times of the calls.
    """
    size = detector.model.variant.batch
    place = 0

    def next_batch() -> List[np.ndarray]:
        nonlocal place
        batch = [pictures[(place + offset) % len(pictures)] for offset in range(size)]
        place += size
        return batch

    for _ in range(warm_up):
        detector.detect(next_batch())
    timer = Timer([])
    end = clock() + seconds
    while not timer.calls or (timer.images < images and clock() < end):
        before = detector.times
        detector.detect(next_batch())
        timer.detected(before, detector.times)
    return timer


def generated_images() -> List[np.ndarray]:
    """Images of smooth noise and some boxes, the same each time: uint8 [720, 1280, 3] each, in BGR order."""
    made = []
    height, width = GENERATED_SIZE
    for seed in range(_GENERATED):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(10):
            left, top = int(rng.integers(0, width - 100)), int(rng.integers(0, height - 100))
            right, bottom = left + int(rng.integers(30, 100)), top + int(rng.integers(30, 100))
            cv2.rectangle(image, (left, top), (right, bottom), rng.integers(0, 256, 3).tolist(), -1)
        made.append(image)
    return made


def _print(report: BenchReport) -> None:
    print(f"{report.images} images of {report.source}, {report.images_per_call} at once; ms an image:")
    print(figures_text(report.stages))
    print(f"  {report.images_per_second:.1f} images/s, one stage after the other; loading took {report.load_s:.1f} s")
