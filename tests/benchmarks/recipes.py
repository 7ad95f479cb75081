"""Experiments with calibration: each changes one thing and measures what int8 for BM1684X, float tail, comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from artifacts.release import Variant
from inference.images import read_image
from inference.preprocess import preprocess
from tasks.calibration_set import curate_images
from tasks.compile import lower
from tasks.quantize import calibration_table
from tasks.records import CalibrationTable, StoredImage
from tests.benchmarks.page import Section
from tests.benchmarks.subject import BOUNDS, DRIVING, SETTINGS, SPEC, Judged, Subject

INT8 = Variant(chip="BM1684X", precision="int8", batch=1)
SEEDS = range(5)
# The compiler's other ways from a tensor's values to its range; a build asks for kl.
METHODS = ("max", "percentile9999", "mse")

Pixels = NDArray[np.uint8]
Tensor = NDArray[np.float32]
Recipe = Callable[[Pixels], Tensor]


class Outcome(NamedTuple):
    """What one way of calibrating gives.

    Attributes:
        judged: Accuracy and distances.
        ranges: Threshold of each tensor, by name.
    """

    judged: Judged
    ranges: dict[str, float]

    @property
    def ap(self) -> float:
        """Average precision, 0..1."""
        return self.judged.measured.ap or 0.0

    def apart(self, other: Outcome) -> list[float]:
        """How far each threshold is from another's, as a share of that one."""
        return [abs(self.ranges[name] / there - 1) for name, there in other.ranges.items() if there]


def usual(image: Pixels) -> Tensor:
    """The tensor that the device feeds: float32 [3, H, W]."""
    return preprocess(image, SPEC)


def swapped(image: Pixels) -> Tensor:
    """Red and blue change places, the means do not."""
    return preprocess(np.ascontiguousarray(image[:, :, ::-1]), SPEC)


def rounded(image: Pixels) -> Tensor:
    """One scale of 0.014 for all channels, where 0.01357, 0.01431 and 0.01411 are right."""
    placed = preprocess(image, SPEC.model_copy(update={"fused": True})).astype(np.float32)
    means = np.array([104.01195, 114.03422, 119.91659], np.float32).reshape(3, 1, 1)
    return np.asarray((placed - means) * np.float32(0.014))


def vendors(image: Pixels) -> Tensor:
    """As the vendor's scripts: swapped and rounded."""
    return rounded(np.ascontiguousarray(image[:, :, ::-1]))


def stretched(image: Pixels) -> Tensor:
    """Stretched to the input's sides instead of letterboxed."""
    return preprocess(np.asarray(cv2.resize(image, (SPEC.width, SPEC.height)), np.uint8), SPEC)


def filled(image: Pixels) -> Tensor:
    """The largest square in the middle alone, so that nothing is padded and nothing stretched."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return preprocess(np.ascontiguousarray(image[top : top + side, left : left + side]), SPEC)


def everything(image: Pixels) -> Tensor:
    """Swapped, rounded and stretched."""
    return vendors(np.asarray(cv2.resize(image, (SPEC.width, SPEC.height)), np.uint8))


RECIPES: dict[str, Recipe] = {
    "RGB planes with BGR means": swapped,
    "one rounded scale": rounded,
    "stretched, nothing padded": stretched,
    "cropped to a square, nothing padded": filled,
    "RGB planes and rounded scale": vendors,
    "RGB planes, rounded scale, stretched": everything,
}


def curated(subject: Subject, count: int, seed: int = 0) -> tuple[StoredImage, ...]:
    """So many images, chosen as a build chooses them."""
    wanted = SETTINGS.calibration.curation.model_copy(update={"count": count, "seed": seed})
    return tuple(curate_images.fn(subject.candidates, subject.evaluation, wanted, subject.workspace).images)


def drawn(subject: Subject, count: int, seed: int = 0) -> tuple[StoredImage, ...]:
    """So many images, drawn without a look at them."""
    images = subject.candidates.images
    return tuple(images[index] for index in np.random.default_rng(seed).permutation(len(images))[:count])


def outcome(subject: Subject, images: Sequence[StoredImage], recipe: Recipe = usual, method: str = "kl") -> Outcome:
    """Calibrate on images in a way, and measure what comes of it."""
    table = table_of(subject, images, recipe, method)
    job = (subject.model, table, SETTINGS.quantize, subject.toolchain, DRIVING, subject.workspace)
    with subject.loaded(lower.fn(INT8, *job)) as infer:
        judged = subject.judge(INT8, infer)
    rows = subject.content.verified(table.table).read_text().splitlines()
    ranges = {line.split()[0]: float(line.split()[1]) for line in rows if line and not line.startswith("#")}
    return Outcome(judged, ranges)


def table_of(
    subject: Subject, images: Sequence[StoredImage], recipe: Recipe = usual, method: str = "kl"
) -> CalibrationTable:
    """The compiler's ranges over some images."""
    tensors = (recipe(read_image(subject.content.verified(image.blob)))[np.newaxis] for image in images)
    job = (subject.model, method, subject.toolchain, DRIVING, subject.workspace)
    return calibration_table(tensors, len(images), *job)


HEADER = ("", "images", "AP", BOUNDS, "cosine heatmap / size / offset", "thresholds moved: median, most")


class Experiments:
    """What was tried on a subject; the same is never tried twice."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._known: dict[tuple[Recipe, str, tuple[StoredImage, ...]], Outcome] = {}

    def __call__(self, images: tuple[StoredImage, ...], recipe: Recipe = usual, method: str = "kl") -> Outcome:
        key = (recipe, method, images)
        if key not in self._known:
            self._known[key] = outcome(self.subject, images, recipe, method)
        return self._known[key]


def write_recipes(tried: Experiments, section: Section) -> None:
    """Other ways of making the input tensors."""
    subject = tried.subject
    usually, fewer = subject.amounts.usual, subject.amounts.fewer
    images = curated(subject, usually)
    ours = tried(images)
    rows = [_row("**ours**", usually, ours, ours)]
    rows += [_row(name, usually, tried(images, recipe), ours) for name, recipe in RECIPES.items()]
    for method in METHODS:
        rows.append(_row(f"ranges by {method}", usually, tried(images, method=method), ours))
        name = f"ranges by {method}, cropped to a square"
        rows.append(_row(name, usually, tried(images, filled, method), ours))
    rows.append(_row(f"{fewer} images", fewer, tried(images[:fewer]), ours))
    rows.append(_row("the vendor's scripts", fewer, tried(images[:fewer], vendors), ours))
    section.say(
        f"The network itself (TorchScript, fp32) has AP {subject.reference.ap or 0:.4f} on these "
        f"{subject.reference.images} images; {subject.traced.parameters:,} weights."
    )
    section.table(HEADER, rows)


def write_sizes(tried: Experiments, section: Section) -> None:
    """How many images it takes."""
    subject = tried.subject
    chosen = {size: tried(curated(subject, size)) for size in subject.amounts.sizes}
    ours = chosen[subject.amounts.usual]
    section.say(f"How many, curated; thresholds against those of {subject.amounts.usual}:")
    section.table(HEADER, [_row("curated", size, one, ours) for size, one in chosen.items()])


def write_choice(tried: Experiments, section: Section) -> None:
    """Whether choosing images is better than drawing them."""
    subject = tried.subject
    rows = []
    for count in subject.amounts.drawn:
        for name, images in (("curated", curated), ("random", drawn)):
            rows.append(_spread(name, count, [tried(images(subject, count, seed)) for seed in SEEDS]))
    section.say(f"Curated against drawn at random, {len(SEEDS)} seeds each:")
    header = (
        "",
        "images",
        "mean AP",
        "AP from to",
        "deviation",
        "mean cosine heatmap / size / offset",
        "thresholds moved between seeds: median, 95th percentile",
    )
    section.table(header, rows)


def _row(name: str, count: int, one: Outcome, ours: Outcome) -> tuple[object, ...]:
    apart = one.apart(ours)
    moved = f"{np.median(apart):.1%}, {max(apart):.0%}"
    return name, count, f"{one.ap:.4f}", one.judged.bounds, one.judged.heads("cosine"), moved


def _spread(name: str, count: int, several: Sequence[Outcome]) -> tuple[object, ...]:
    aps = [one.ap for one in several]
    moved = np.concatenate([one.apart(other) for one in several for other in several if one is not other])
    distances = [one.judged.measured.distances for one in several]
    cosines = " / ".join(f"{np.mean([one[head].cosine for one in distances]):.5f}" for head in distances[0])
    return (
        name,
        count,
        f"{np.mean(aps):.4f}",
        f"{min(aps):.4f} to {max(aps):.4f}",
        f"{np.std(aps, ddof=1):.4f}",
        cosines,
        f"{np.median(moved):.1%}, {np.quantile(moved, 0.95):.0%}",
    )
