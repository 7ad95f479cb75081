"""``doctor --compare``: preprocessing on the host beside that on the device, on the same images and the same device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from artifacts.variant import Record
from inference.bmcv.comparing import Agreement, TensorDistance, agreement, tensor_distance, together
from inference.bmcv.feed import BmcvFeed, open_bmcv
from inference.bmcv.modelled import preprocess_like_bmcv
from inference.decode import Detections, decode
from inference.engines.choose import EngineWish, preferred_chip
from inference.errors import ImageError
from inference.feeding import Feed, HostFeed, on_host
from inference.images import decode_image, read_file
from inference.measuring import versions
from inference.model import ReleasedModel, find_model
from inference.preprocess import preprocess
from inference.sources import list_images

CONF = 0.35

MOST_APART = 1.0
"""Pixel values that the device's tensor of any image may be from the model's in the mean. Its rounding is below a
tenth; planes in another order, the nearest pixel or arithmetic that was not done are several, where an image shows it:
in a gray one planes are alike, and in a smooth one neighbours. So the worst image counts, not the mean of all."""


class Apart(Record):
    """Distance in pixel values, 0 to 255, over images: the mean of their means, and the largest of all."""

    mean: float
    largest: float


class Comparison(Record):
    """What came of it.

    Attributes:
        chip: The device's chip.
        variant: The model's path inside its release.
        images: How many were compared.
        decoded_there: How many of them the device decoded.
        skipped: Images that cannot be read, or that the device does not take, and why.
        decoding: The device's decoder against the host's; None where it decoded none.
        to_model: Its tensor of the host's pixels against the numpy model's (`inference.bmcv.modelled`).
        worst: The image whose tensor is furthest from the numpy model's in the mean.
        worst_mean: How far, in pixel values.
        to_host: Its tensor, its own decoding included, against the host's.
        host_detections: How many the host's way finds, scores from 0.35.
        device_detections: How many the device's way finds.
        in_both: How many of them are the same, by class and an IoU of at least 0.5.
        iou: Mean IoU of those; None where there are none.
        scores_apart: Mean absolute difference of their scores; None where there are none.
        host_ms: Decoding and preparing on the host, milliseconds an image in the median.
        device_ms: The same with the device.
        as_documented: Whether each image's tensor is that of the numpy model, but for rounding. What the device's
            decoder gives has no say in it: two decoders may differ, and nothing says by how much.
        versions: Of what has a say.
    """

    chip: str
    variant: str
    images: int
    decoded_there: int
    skipped: Tuple[str, ...]
    decoding: Optional[Apart]
    to_model: Apart
    worst: str
    worst_mean: float
    to_host: Apart
    host_detections: int
    device_detections: int
    in_both: int
    iou: Optional[float]
    scores_apart: Optional[float]
    host_ms: float
    device_ms: float
    as_documented: bool
    versions: Dict[str, str]


class _One(NamedTuple):
    """One image both ways."""

    name: str
    decoding: Optional[TensorDistance]
    to_model: TensorDistance
    to_host: TensorDistance
    found: Agreement
    host_s: float
    device_s: float


def compare(model: Path, images: Path, *, device: int = 0) -> Comparison:
    """Run a model on images prepared in both ways.

    Args:
        model: A release's folder, or a bmodel in one.
        images: An image file, or a folder of them.
        device: Which TPU.

    Returns:
        How far the ways are from each other, and from what the documentation says.

    Raises:
        ImageError: There is no image, or none that can be read and is for the device.
        OptionError: No device runs the model, or its input is not square.
        ModelError: The model is missing, damaged, or does not match its release.
        EngineError: The device failed.
    """
    files = list_images(images)
    wish = EngineWish("sail", device)
    found = find_model(model, chip=preferred_chip(wish) if model.is_dir() else None)
    engine, feed = open_bmcv(found.path, found.variant.chip, found.spec, wish)
    with engine:
        try:
            return _compared(found, HostFeed(engine, found.spec), feed, files)
        finally:
            feed.close()


def readable_image(images: Path) -> Path:
    """Find an image that can be read; no device is needed for that.

    Args:
        images: An image file, or a folder of them.

    Returns:
        The first one.

    Raises:
        ImageError: There is no image, or none that can be read.
    """
    files = list_images(images)
    problem = ""
    for file in files:
        try:
            decode_image(read_file(file), file)
        except ImageError as error:
            problem = problem or str(error)
        else:
            return file
    raise ImageError(f"none of the {len(files)} images of {images} can be read. {problem}", images)


def text(one: Comparison) -> str:
    """The comparison as lines."""
    decoder = f"{one.decoded_there} of {one.images} images" + _apart("; pixels", one.decoding)
    rows = [
        ("decoded there", decoder),
        ("preprocessing", f"tensors{_apart('', one.to_model)} from what is documented"),
        ("", f"furthest in {one.worst}: {one.worst_mean:.3f} in the mean"),
        ("both", f"tensors{_apart('', one.to_host)} from the host's"),
        (
            "detections",
            f"{one.host_detections} by the host's way, {one.device_detections} by the device's, {one.in_both} in both"
            + ("" if one.iou is None else f" (IoU {one.iou:.4f}, scores {one.scores_apart or 0:.4f} apart)"),
        ),
        ("ms an image", f"{one.host_ms:.2f} on the host, {one.device_ms:.2f} on the device, median"),
    ]
    lines = [f"{one.images} images, {one.variant} on a {one.chip}, prepared on the device:"]
    lines += [f"  {topic:14} {said}" for topic, said in rows]
    lines += [f"  skipped        {why}" for why in one.skipped]
    if not one.as_documented:
        lines.append(
            f"The device does not do what its documentation says, in {one.worst} for one: leave --preprocess at host, "
            "and see what dmesg and the lines above say."
        )
    return "\n".join(lines)


def _compared(model: ReleasedModel, host: HostFeed, feed: BmcvFeed, files: Tuple[Path, ...]) -> Comparison:
    each: List[_One] = []
    skipped: List[str] = []
    for file in files:
        try:
            each.append(_both_ways(model, host, feed, file))
        except ImageError as error:
            skipped.append(f"{file.name}: {error}")
    if not each:
        raise ImageError(f"none of the {len(files)} images can be compared. {skipped[0]}")
    decoding = [one.decoding for one in each if one.decoding is not None]
    found = together([one.found for one in each])
    worst = max(each, key=lambda one: one.to_model.mean)
    return Comparison(
        chip=model.variant.chip,
        variant=model.variant.path,
        images=len(each),
        decoded_there=len(decoding),
        skipped=tuple(skipped),
        decoding=_over(decoding) if decoding else None,
        to_model=_over([one.to_model for one in each]),
        worst=worst.name,
        worst_mean=worst.to_model.mean,
        to_host=_over([one.to_host for one in each]),
        host_detections=found.first,
        device_detections=found.second,
        in_both=found.same,
        iou=found.iou if found.same else None,
        scores_apart=found.score if found.same else None,
        host_ms=1000 * float(np.median([one.host_s for one in each])),
        device_ms=1000 * float(np.median([one.device_s for one in each])),
        as_documented=worst.to_model.mean <= MOST_APART,
        versions=versions(),
    )


def _both_ways(model: ReleasedModel, host: HostFeed, feed: BmcvFeed, file: Path) -> _One:
    spec, data = model.spec, read_file(file)
    started = time.perf_counter()
    pixels = decode_image(data, file)
    tensor = preprocess(pixels, spec)
    between = time.perf_counter()
    picture = feed.decode(data, file)
    row = feed.prepare(picture)
    ended = time.perf_counter()
    there = None if isinstance(picture, np.ndarray) else _pixels_apart(pixels, on_host(picture))
    size = (pixels.shape[0], pixels.shape[1])
    ways: Tuple[Feed, Feed] = (host, feed)
    found = [_found(model, way, heads, size) for way, heads in zip(ways, (_heads(host, pixels), feed.run([row])))]
    return _One(
        file.name,
        there,
        tensor_distance(feed.values(feed.prepare(pixels)), preprocess_like_bmcv(pixels, spec), spec),
        tensor_distance(feed.values(row), tensor, spec),
        agreement(*found),
        between - started,
        ended - between,
    )


def _heads(feed: Feed, pixels: np.ndarray) -> np.ndarray:
    batch = feed.begin(1)
    batch.fill(0, pixels)
    return batch.run([0])


def _found(model: ReleasedModel, feed: Feed, heads: np.ndarray, size: Tuple[int, int]) -> Detections:
    return decode(heads, [size], spec=model.spec, conf=CONF, affines=[feed.affine(size)])[0]


def _pixels_apart(first: np.ndarray, second: np.ndarray) -> TensorDistance:
    apart = np.abs(first.astype(np.int16) - second)
    return TensorDistance(float(apart.mean()), float(apart.max()))


def _over(each: List[TensorDistance]) -> Apart:
    return Apart(mean=sum(one.mean for one in each) / len(each), largest=max(one.largest for one in each))


def _apart(what: str, distance: Optional[Apart]) -> str:
    return "" if distance is None else f"{what} {distance.mean:.3f} (at most {distance.largest:.0f}) pixel values apart"
