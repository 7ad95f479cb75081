"""Host work per image.

What the host does for each image beside reading it: preprocessing to 512 x 512, and decoding of a head tensor
[84, 128, 128]. One thread and its processor time, which does not count what other processes take; eight photographs of
COCO val2017, about 640 x 480, one after the other, so that no tensor is still in the caches from the round before.
*Photographs*: the head tensors that the sample's trained network (width 0.25) gives for them; it has learnt drawn
scenes and finds little in photographs. *Crowded*: a dozen blobs of many sizes among weak noise. The vendor's sample is
`sample/CenterNet/python` of sophgo/sophon-demo, run here without a device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.decode import decode
from inference.engines.stored import real_numbers
from inference.images import read_image
from inference.preprocess import affine_to_input, preprocess
from tests.benchmarks import heads as head_tensors
from tests.benchmarks import vendor
from tests.benchmarks.page import Section

pytestmark = pytest.mark.benchmark(timer=time.process_time)

PACKAGES = ("numpy", "opencv-python-headless")

IMAGES = 8
ROUNDS = 40
VENDOR_ROUNDS = 5
CONF = 0.35
SPECS = {"float32": PreprocessSpec(), "raw uint8": PreprocessSpec(fused=True)}
KINDS = ("photographs", "crowded")

PREPROCESS, DECODE = "preprocess, float32", "decode, conf 0.35, photographs"
WARP, MAXIMUM = "resampling alone (`cv2.warpAffine`)", "reading of a head tensor (numpy `max`)"
VENDORS = ("vendor's preprocess", "vendor's postprocess")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """OpenCV on one thread, as numpy is by itself in all that is measured here."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def images(photographs: list[Path]) -> list[np.ndarray]:
    return [read_image(path) for path in photographs if "val2017" in path.parts][:IMAGES]


@pytest.fixture(scope="module")
def tensors(images: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Head tensors float32 [8, 84, 128, 128] by kind."""
    return {"photographs": head_tensors.of_photographs(images), "crowded": head_tensors.crowded(IMAGES)}


@pytest.fixture(scope="module")
def sample(vendor_sample: Path | None) -> vendor.VendorSample:
    if vendor_sample is None:
        pytest.skip("the vendor's sample was not named")
    return vendor.load(vendor_sample)


@dataclass
class Measured:
    """What the section is made of.

    Attributes:
        ms: Median milliseconds an image by what was done.
        agreement: How far the vendor's detections are ours.
    """

    ms: dict[str, float] = field(default_factory=dict)
    agreement: str = ""


@pytest.fixture(scope="module")
def measured(section: Section) -> Iterator[Measured]:
    one = Measured()
    yield one
    if PREPROCESS in one.ms and DECODE in one.ms:
        _write(section, one)


@pytest.fixture
def measure(benchmark: Any, measured: Measured) -> Callable[..., None]:
    """Time something for each of eight inputs."""

    def run(name: str, work: Callable[[Any], object], inputs: Any, rounds: int = ROUNDS) -> None:
        def each() -> None:
            for one in inputs:  # no list: results that are kept need fresh memory every time
                work(one)

        benchmark.pedantic(each, rounds=rounds, warmup_rounds=1)
        measured.ms[name] = 1000 * benchmark.stats.stats.median / len(inputs)

    return run


@pytest.mark.parametrize("kind", SPECS)
def bench_preprocess(measure: Callable[..., None], images: list[np.ndarray], kind: str) -> None:
    measure(f"preprocess, {kind}", lambda image: preprocess(image, SPECS[kind]), images)


def bench_resampling(measure: Callable[..., None], images: list[np.ndarray]) -> None:
    affines = [affine_to_input(image.shape[:2], SPECS["float32"]) for image in images]
    work = [(image, affine) for image, affine in zip(images, affines, strict=True)]
    measure(WARP, lambda one: cv2.warpAffine(*one, (512, 512), flags=cv2.INTER_LINEAR), work)


@pytest.mark.parametrize("conf", [CONF, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def bench_decode(measure: Callable[..., None], tensors: dict[str, np.ndarray], kind: str, conf: float) -> None:
    name = f"decode, conf {conf:g}{'' if conf else ' (top 100)'}, {kind}"
    measure(name, lambda one: decode(one[None], [(480, 640)], conf=conf), tensors[kind])


def bench_reading_once(measure: Callable[..., None], tensors: dict[str, np.ndarray]) -> None:
    measure(MAXIMUM, np.max, tensors["photographs"])


def bench_copying(measure: Callable[..., None], tensors: dict[str, np.ndarray]) -> None:
    target = np.empty_like(tensors["photographs"][0])
    measure("copying of a head tensor (`memcpy`)", lambda one: np.copyto(target, one), tensors["photographs"])


def bench_widening(measure: Callable[..., None], tensors: dict[str, np.ndarray]) -> None:
    measure("head tensor from float16", real_numbers, tensors["photographs"].astype(np.float16))


def bench_widening_by_numpy(measure: Callable[..., None], tensors: dict[str, np.ndarray]) -> None:
    halves = tensors["photographs"].astype(np.float16)
    measure("the same by numpy's `astype`", lambda one: one.astype(np.float32), halves)


def bench_scaling(measure: Callable[..., None], tensors: dict[str, np.ndarray]) -> None:
    steps = np.clip(np.rint(tensors["photographs"] / 0.125), -128, 127).astype(np.int8)
    measure("head tensor from int8", lambda one: real_numbers(one, 0.125), steps)


def bench_vendor_preprocess(
    measure: Callable[..., None], images: list[np.ndarray], sample: vendor.VendorSample
) -> None:
    measure(VENDORS[0], sample.network.preprocess, images, VENDOR_ROUNDS)


def bench_vendor_postprocess(
    measure: Callable[..., None], tensors: dict[str, np.ndarray], sample: vendor.VendorSample
) -> None:
    measure(VENDORS[1], lambda one: sample.detections(one, (480, 640)), tensors["photographs"], VENDOR_ROUNDS)


def bench_agreement(
    measured: Measured, images: list[np.ndarray], tensors: dict[str, np.ndarray], sample: vendor.VendorSample
) -> None:
    lines = []
    for kind in KINDS:
        counts = [
            _agreement(sample, heads, image.shape[:2]) for image, heads in zip(images, tensors[kind], strict=True)
        ]
        total, contained, ours = np.sum(counts, axis=0)
        lines.append(f"{kind}: {contained} of its {total} (ours: {ours})")
    measured.agreement = (
        f"Of the vendor's detections with a score from {CONF} on, ours contain (class, score to 1e-5, every side to a "
        f"pixel): {'; '.join(lines)}. The vendor keeps one class for a cell, we keep all."
    )


def _agreement(sample: vendor.VendorSample, heads: np.ndarray, size: tuple[int, ...]) -> tuple[int, int, int]:
    """The vendor's detections in one image, how many of them ours contain, and ours."""
    found = decode(heads[None], [(size[0], size[1])], conf=CONF)[0]
    theirs = sample.detections(heads, (size[0], size[1]))
    theirs = theirs[theirs[:, 4] >= CONF]
    contained = 0
    for *box, score, class_id in theirs:
        near = np.abs(found.boxes_xyxy - np.array(box)).max(axis=1) <= 1
        contained += bool(np.any(near & (found.class_ids == class_id) & (np.abs(found.scores - score) < 1e-5)))
    return len(theirs), contained, len(found)


def _write(section: Section, measured: Measured) -> None:
    ms = measured.ms
    floors = {name: WARP for name in ms if name.startswith("preprocess")}
    floors.update({name: MAXIMUM for name in ms if name.startswith("decode")})
    rows = [
        (name, f"{one:.3f}", f"{one / ms[floors[name]]:.1f} x the {floors[name]}" if floors.get(name) in ms else "")
        for name, one in ms.items()
        if name not in VENDORS
    ]
    ours = ms[PREPROCESS] + ms[DECODE]
    section.table(("one thread", "ms an image", "against its floor"), rows)
    section.say(
        f"Preprocessing to float32 and decoding at conf {CONF}, together: **{ours:.2f} ms an image**, "
        f"{ours / (ms[WARP] + ms[MAXIMUM]):.1f} x their floors together: one resampling, and one reading of the tensor."
    )
    if not all(name in ms for name in VENDORS):
        section.say("The vendor's sample was not named (`VENDOR=...`), so that it is not compared with.")
        return
    theirs = [ms[name] for name in VENDORS]
    stages = [("preprocess", theirs[0], ms[PREPROCESS]), ("postprocess", theirs[1], ms[DECODE])]
    stages.append(("together", sum(theirs), ours))
    section.table(
        ("the same images and head tensors", "vendor's ms", "our ms", "ratio"),
        [(name, f"{their:.2f}", f"{our:.3f}", f"{their / our:.0f}") for name, their, our in stages],
    )
    section.say(measured.agreement)
