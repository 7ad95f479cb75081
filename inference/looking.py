"""What a detector finds in annotated images, one after the other, and which of them it cannot take."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import numpy as np

from artifacts.digest import digest_bytes
from artifacts.protocols import Limits
from inference.annotations import Annotations
from inference.decode import Detections
from inference.detector import Detector
from inference.errors import ImageError
from inference.feeding import Picture
from inference.images import read_file
from inference.measuring import Timer
from inference.progress import Progress
from inference.protocols import by_protocol


class Seen(NamedTuple):
    """What came out of the images so far.

    Attributes:
        found: Image id to its detections; class ids are positions in the annotations' categories.
        digests: Image id to the digest of the file.
        unreadable: Names of the images that could not be read, or are not for what prepares them.
        timer: Times of the calls.
    """

    found: Dict[int, Detections]
    digests: Dict[int, str]
    unreadable: List[str]
    timer: Timer


class _Waiting(NamedTuple):
    """An image that fills a batch with others."""

    image: int
    name: str
    picture: Picture


class _Run(NamedTuple):
    """What `look` was told, and what has come of it so far."""

    detector: Detector
    positions: Dict[int, int]
    kept: Limits
    seen: Seen
    progress: Progress


def look(detector: Detector, truth: Annotations, folder: Path, positions: Dict[int, int], kept: Limits) -> Seen:
    """Detect objects in the annotated images, in full batches where the model takes several.

    Args:
        detector: The detector, with the protocol's limits.
        truth: Which images.
        folder: Where they lie.
        positions: Class id to position in ``truth.categories``; other classes are left out, for there is no truth about
            them.
        kept: What is kept of the detections.

    Returns:
        What was found in each image that can be read and prepared.
    """
    run = _Run(detector, positions, kept, Seen({}, {}, [], Timer([])), Progress(len(truth.images)))
    waiting: List[_Waiting] = []
    read_s = 0.0
    for image, name in truth.images.items():
        started = time.perf_counter()
        try:
            data = read_file(folder / name)
            waiting.append(_Waiting(image, name, detector.decode(data, folder / name)))
            run.seen.digests[image] = digest_bytes(data)
        except ImageError as error:
            _skip(run, name, str(error))
        read_s += time.perf_counter() - started
        run.progress.step()
        if len(waiting) == detector.model.variant.batch:
            _detect(run, waiting, read_s)
            waiting, read_s = [], 0.0
    if waiting:
        _detect(run, waiting, read_s)
    run.progress.clear()
    return run.seen


def _detect(run: _Run, waiting: Sequence[_Waiting], read_s: float) -> None:
    before = run.detector.times
    try:
        found = run.detector.detect([one.picture for one in waiting])
    except ImageError as error:
        if len(waiting) == 1:
            _skip(run, waiting[0].name, f"{waiting[0].name}: {error}")
            return
        # Which of a batch it was, only the words say: alone, each has its name.
        for alone in waiting:
            _detect(run, [alone], read_s / len(waiting))
        return
    run.seen.timer.detected(before, run.detector.times, read_s)
    for (image, _, _), decoded in zip(waiting, found):
        one = by_protocol(run.kept, decoded)
        known = np.isin(one.class_ids, list(run.positions))
        ids = np.array([run.positions[class_id] for class_id in one.class_ids[known].tolist()], dtype=np.int32)
        run.seen.found[image] = Detections(one.boxes_xyxy[known], one.scores[known], ids)


def _skip(run: _Run, name: str, why: str) -> None:
    run.progress.clear()
    print(f"skipped: {why}", file=sys.stderr)
    run.seen.unreadable.append(name)
