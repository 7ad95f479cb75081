"""On generated scenes

Heatmap, size and offset are one tensor for whoever reads it, and three convolutions in the network. Each row is a way
from the one to the other. *All int8*: the concatenation is int8, with one scale for all. *Float tail*: the
concatenation and the three last convolutions stay in float, F16 or, on BM1684, F32; it is what a build makes.
*Concatenation in float*: the convolutions are int8, each with a scale of its own. *Three outputs*: the compiler is
given the three convolutions as the network's outputs, and nothing is concatenated on the chip.

Accuracy and distances are those of the sample's network (width 0.25, 256 x 256) on 64 generated scenes, calibrated on
200 curated ones, one table for all rows, in the compiler's interpreter. Estimates are the compiler's, for one image,
batch 1, one core; those at full width are of the untrained network at 512 x 512. *kB* is what one image sends over the
bus.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from artifacts.release import PreprocessSpec
from artifacts.variant import CHIPS
from inference.images import read_image
from inference.preprocess import preprocess
from tasks.compile import import_network
from tasks.gather import draw_scenes
from tasks.quantize import calibration_table
from tests.benchmarks.page import Section
from tests.benchmarks.recipes import curated, table_of
from tests.benchmarks.search import CHIP, Search, search
from tests.benchmarks.subject import BOUNDS, DRIVING, Subject, scenes, untrained
from tests.benchmarks.tails import Tails, judged, write_accuracy

PAGE = "heads.md"

FULL = PreprocessSpec()
# What the searches judge by, and when they are content: the tool's own 0.99 is passed by a network with a dead head.
SEARCHED_IMAGES, EXPECTED, FLOAT_LAYERS = 4, 0.9999, 5


class Bench(NamedTuple):
    """The sample's network both ways, and the full one for its times."""

    subject: Subject
    tails: Tails
    full: Tails


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Import and calibrate both networks."""
    subject = scenes(tmp_path_factory.mktemp("heads"))
    toolchain, workspace = subject.toolchain, subject.workspace
    table = table_of(subject, curated(subject, subject.amounts.usual))
    tails = Tails(subject.traced, subject.model, table, toolchain, workspace)
    _, traced = untrained(FULL, workspace)
    model = import_network.fn(traced, 1, toolchain, DRIVING, workspace)
    few = draw_scenes.fn("calibration", 4, 0, workspace).images
    samples = [preprocess(read_image(workspace.content.verified(image.blob)), FULL)[None] for image in few]
    wide = calibration_table(samples, len(samples), model, "kl", toolchain, DRIVING, workspace)
    return Bench(subject, tails, Tails(traced, model, wide, toolchain, workspace))


@pytest.mark.parametrize("chip", CHIPS)
def bench_accuracy(chip: str, bench: Bench, section: Section) -> None:
    if chip == CHIPS[0]:
        section.say(
            f"The network itself has AP {bench.subject.reference.ap or 0:.4f}. Three figures in a cell are those of "
            "heatmap / size / offset, against the TorchScript."
        )
    write_accuracy(bench.subject, bench.tails, chip, section)


@pytest.mark.parametrize("chip", CHIPS)
def bench_estimates(chip: str, bench: Bench, section: Section) -> None:
    rows = []
    plain: dict[bool, float] = {}
    for full in (False, True):
        network = bench.full if full else bench.tails
        _, tail, _, three, _ = network.ways
        for way in network.ways:
            for one in (way, way.narrowed) if way in (tail, three) else (way,):
                size = network.compiled(one, chip)
                base = plain.setdefault(full, size.milliseconds)
                rows.append(
                    (
                        "1, 512 x 512" if full else "0.25, 256 x 256",
                        one.name + (", outputs as computed" if one.narrow else ""),
                        f"{size.milliseconds:.3f}",
                        f"{size.milliseconds / base - 1:+.1%}",
                        f"{size.output_bytes / 1e3:.0f}",
                        f"{size.file_bytes / 1e6:.2f}",
                    )
                )
    section.table(("width, size", chip, "estimated ms", "against all int8", "kB", "file MB"), rows)


def bench_searches(bench: Bench, section: Section) -> None:
    tails, subject = bench.tails, bench.subject
    plain, tail, _, three, _ = tails.ways
    images = curated(subject, subject.amounts.usual)[:SEARCHED_IMAGES]
    rows = []
    for one in (
        Search("one output, as the tool does it", "search_qtable", plain),
        Search("one output, told to compare the heads", "search_qtable", plain, heads=True),
        Search("the same from the float tail on", "search_qtable", tail, heads=True),
        Search("three outputs", "search_qtable", three),
    ):
        found = search(tails, one, images, expected=EXPECTED, layers=FLOAT_LAYERS)
        quality = judged(subject, tails, one.way, CHIP, found.table)
        small = tails.compiled(one.way, CHIP, found.table)
        ours = {tails.concatenation, *tails.heads} & set(found.layers)
        rows.append(
            (
                one.name,
                f"{found.seconds:.0f}",
                f"{len(found.layers)}, {len(ours)}",
                quality.heads("cosine"),
                f"{quality.measured.ap or 0:.4f}",
                quality.bounds,
                f"{small.milliseconds:.3f}",
            )
        )
    section.say(
        f"The compiler's own search for layers that should stay in float (`run_calibration --search search_qtable`), "
        f"{CHIP}, {SEARCHED_IMAGES} images, content at a cosine of {EXPECTED}, at first {FLOAT_LAYERS} layers, with "
        "the thresholds of a build. It compares the network's outputs, by the mean of their cosines; "
        "`--global_compare_layers` names other layers to compare, here the last convolution of each head, and "
        "`--pre_qtable` says what stays in float from the beginning."
    )
    header = (
        "search",
        "s",
        "layers in float, of them of the tail",
        "cosine heatmap / size / offset",
        "AP",
        BOUNDS,
        "estimated ms",
    )
    section.table(header, rows)
