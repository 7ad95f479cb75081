"""What int8 loses by other ways of calibrating.

The sample's network on its generated scenes (256 x 256, 64 of them for accuracy), INT8 for BM1684X with the float
tail, in the compiler's interpreter. *Ours*: 200 curated scenes, as the very tensors that the device feeds. Each
other row changes one thing; what the vendor's scripts do (sophgo/sophon-demo,
sample/CenterNet/scripts/gen_int8bmodel_mlir.sh at c7c94bb) is channels in RGB order with means in BGR order, one
rounded scale for all channels, and as many of 200 images as the folder has, which for the usual COCO128 are 128.
Then: does choosing images earn its name, and how many does it take?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from artifacts.release import Variant
from inference.images import read_image
from inference.preprocess import preprocess
from settings.load import load_settings
from tasks.calibration_set import curate_images
from tasks.compile import import_network, lower
from tasks.gather import draw_scenes
from tasks.loss import measure_loss
from tasks.quantize import calibration_table
from tasks.records import CalibrationTable, Checkpoint, ImageSet, Measured, StoredImage, Traced
from tasks.toolchain.provision import cache_root, provision
from tasks.trace import trace
from tasks.validate import evaluate, evaluate_reference
from tasks.workspace import Workspace
from tests.benchmarks.page import Section

PAGE = "calibration.md"

SETTINGS = load_settings("sample", environ={})
SPEC = SETTINGS.preprocess.spec()
INT8 = Variant(chip="BM1684X", precision="int8", batch=1)
WEIGHTS = Path(__file__).resolve().parents[2] / "tasks" / "sample" / "weights.pth"

Pixels = NDArray[np.uint8]
Tensor = NDArray[np.float32]
Recipe = Callable[[Pixels], Tensor]


class Outcome(NamedTuple):
    """What one way of calibrating gives.

    Attributes:
        measured: Accuracy and distances.
        bounds: What it loses against the TorchScript.
        ranges: Threshold of each tensor, by name.
    """

    measured: Measured
    bounds: str
    ranges: dict[str, float]


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


def both(image: Pixels) -> Tensor:
    """As the vendor's scripts: swapped and rounded."""
    return rounded(np.ascontiguousarray(image[:, :, ::-1]))


def stretched(image: Pixels) -> Tensor:
    """Stretched to the input's sides instead of letterboxed."""
    return preprocess(cv2.resize(image, (SPEC.width, SPEC.height)), SPEC)


RECIPES: dict[str, Recipe] = {
    "RGB planes with BGR means": swapped,
    "one rounded scale": rounded,
    "both, as the vendor's scripts": both,
    "stretched, not letterboxed": stretched,
}
SIZES = (25, 50, 100, 200, 400)
SEEDS = range(5)


class Bench:
    """The sample's network, imported, with everything that is measured against."""

    def __init__(self, folder: Path) -> None:
        self.toolchain = provision(SETTINGS.toolchain.version, root=cache_root())
        self.workspace = Workspace(store=str(folder / "store"), cache=str(cache_root()))
        self.content, self.driving = self.workspace.content, SETTINGS.toolchain.driving
        self.judging = SETTINGS.evaluation.judging
        checkpoint = Checkpoint(blob=self.content.put_file(WEIGHTS))
        self.traced: Traced = trace.fn(checkpoint, SETTINGS.network, SPEC, self.workspace)
        self.model = import_network.fn(self.traced, 1, self.toolchain, self.driving, self.workspace)
        self.evaluation: ImageSet = draw_scenes.fn("evaluation", 64, 0, self.workspace)
        self.candidates: ImageSet = draw_scenes.fn("calibration", 600, 0, self.workspace)
        self.reference = evaluate_reference.fn(self.traced, self.evaluation, SPEC, self.judging, self.workspace)

    def curated(self, count: int, seed: int = 0) -> tuple[StoredImage, ...]:
        """So many images, chosen as a build chooses them."""
        wanted = SETTINGS.calibration.curation.model_copy(update={"count": count, "seed": seed})
        chosen = curate_images.fn(self.candidates, self.evaluation, wanted, self.workspace)
        return tuple(chosen.images)

    def random(self, count: int, seed: int) -> tuple[StoredImage, ...]:
        """So many images, drawn without a look at them."""
        order = np.random.default_rng(seed).permutation(len(self.candidates.images))[:count]
        return tuple(self.candidates.images[index] for index in order)

    def outcome(self, images: Sequence[StoredImage], recipe: Recipe = usual) -> Outcome:
        """Calibrate on images in a way, and measure what comes of it."""
        table = self._table(images, recipe)
        job = (self.model, table, SETTINGS.quantize, self.toolchain, self.driving, self.workspace)
        lowered = lower.fn(INT8, *job)
        limits = self.driving.timeouts
        against = (self.traced, self.reference, self.evaluation, SPEC, self.judging, limits)
        measured = evaluate.fn(lowered, *against, self.toolchain, self.workspace)
        loss = measure_loss.fn(measured, self.reference, self.evaluation, self.judging, self.workspace).bounds
        assert loss is not None
        rows = self.content.verified(table.table).read_text().splitlines()
        ranges = {line.split()[0]: float(line.split()[1]) for line in rows if line and not line.startswith("#")}
        return Outcome(measured, f"{loss.low:.4f} to {loss.high:.4f}", ranges)

    def _table(self, images: Sequence[StoredImage], recipe: Recipe) -> CalibrationTable:
        tensors = (recipe(read_image(self.content.verified(image.blob)))[np.newaxis] for image in images)
        return calibration_table(tensors, len(images), self.model, "kl", self.toolchain, self.driving, self.workspace)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One network for all."""
    return Bench(tmp_path_factory.mktemp("recipes"))


HEADER = ("", "images", "AP", "AP lost, 95 % bounds", "cosine heatmap / size / offset", "ranges apart: median, most")


def row(name: str, count: int, one: Outcome, ours: Outcome) -> tuple[object, ...]:
    """A line of a table."""
    apart = [abs(one.ranges[tensor] / ours.ranges[tensor] - 1) for tensor in ours.ranges]
    cosines = " / ".join(f"{far.cosine:.4f}" for far in one.measured.distances.values())
    ap = f"{one.measured.ap or 0:.4f}"
    return name, count, ap, one.bounds, cosines, f"{np.median(apart):.1%}, {max(apart):.0%}"


def bench_recipes(bench: Bench, section: Section) -> None:
    images = bench.curated(200)
    ours = bench.outcome(images)
    rows = [row("**ours**", 200, ours, ours)]
    rows += [row(name, 200, bench.outcome(images, recipe), ours) for name, recipe in RECIPES.items()]
    rows.append(row("128 images", 128, bench.outcome(images[:128]), ours))
    rows.append(row("the vendor's recipe with 128 images", 128, bench.outcome(images[:128], both), ours))
    section.say(f"The network itself (TorchScript, fp32) has AP {bench.reference.ap or 0:.4f} on these scenes.")
    section.table(HEADER, rows)


def bench_choice(bench: Bench, section: Section) -> None:
    chosen = {size: bench.outcome(bench.curated(size)) for size in SIZES}
    ours = chosen[200]
    drawn = [bench.outcome(bench.random(200, seed)) for seed in SEEDS]
    few = [bench.outcome(bench.random(50, seed)) for seed in SEEDS]
    picked = [bench.outcome(bench.curated(200, seed)) for seed in SEEDS]
    section.say("How many, curated:")
    section.table(HEADER, [row("curated", size, one, ours) for size, one in chosen.items()])
    section.say("Curated against drawn at random, five seeds each:")
    rows = []
    for name, count, several in (
        ("curated", 200, picked),
        ("random", 200, drawn),
        ("random", 50, few),
    ):
        aps = [one.measured.ap or 0 for one in several]
        moved = [
            np.median([abs(one.ranges[tensor] / several[0].ranges[tensor] - 1) for tensor in ours.ranges])
            for one in several[1:]
        ]
        cosine = [one.measured.distances["heatmap"].cosine for one in several]
        spread = f"{min(aps):.4f} to {max(aps):.4f}"
        rows.append((name, count, f"{np.mean(aps):.4f}", spread, f"{np.mean(cosine):.5f}", f"{np.mean(moved):.1%}"))
    header = ("", "images", "mean AP", "AP from to", "mean cosine of the heatmap", "ranges apart between seeds, median")
    section.table(header, rows)
