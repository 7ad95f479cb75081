"""What is measured about a calibration candidate: identity, statistics of its pixels, a hash that finds copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from artifacts.digest import digest_bytes
from tasks.errors import BadImage
from tasks.images import MIN_SIDE, decode_checked, is_grayscale, read_bytes

# The statistics are taken at about the scale at which the network sees an image: sharpness has no meaning without one.
_LONG_SIDE = 512
_HASH_SIDE = 8
_DCT_SIDE = 32
_THUMBNAIL_SIDE = 8

# Mean difference of two thumbnails, 0..255. A brightness shift of 15 or a crop of 3 % stays at 15; unrelated
# photographs of COCO start at 19. It keeps flat images apart, whose hashes are all alike.
_NEAR_THUMBNAIL = 24


class Candidate(NamedTuple):
    """An image that may be chosen: the name it goes by and the file that holds it (whose own name does not matter)."""

    name: str
    path: Path


class Rejection(BaseModel):
    """An image that is left out: its name, a reason fit for counting, and the details."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reason: str
    detail: str


class ImageFacts(BaseModel):
    """What is known about one image.

    Attributes:
        name: The name it goes by.
        digest: Digest of the file.
        size: Bytes of the file.
        width: Pixels, upright.
        height: Pixels, upright.
        luma: Mean of the gray image, 0..255.
        contrast: Standard deviation of the gray image, 0..127.5.
        saturation: Mean saturation (HSV), 0..255.
        sharpness: ln(1 + variance of the Laplacian of the gray image).
        entropy: Of the gray image's histogram, in bits, 0..8.
        grayscale: Whether it has no colour to speak of.
        hash: 64-bit perceptual hash.
        thumbnail: uint8 [8, 8, 3] BGR, as bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    digest: str
    size: int
    width: int
    height: int
    luma: float
    contrast: float
    saturation: float
    sharpness: float
    entropy: float
    grayscale: bool
    hash: int
    thumbnail: bytes


def measure(candidate: Candidate, *, min_side: int = MIN_SIDE) -> ImageFacts:
    """Read one image and measure it.

    Args:
        candidate: The image.
        min_side: Shortest side in pixels that is accepted.

    Returns:
        Its facts. Statistics are rounded to 4 decimals, so that two machines' last bits do not choose other images.

    Raises:
        BadImage: The image cannot be used (see `tasks.images.read_image`).
    """
    data = read_bytes(candidate.path)
    image = decode_checked(data, Path(candidate.name), min_side=min_side)
    height, width = image.shape[:2]
    small = _shrink(image)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    saturation = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)[..., 1]
    return ImageFacts(
        name=candidate.name,
        digest=digest_bytes(data),
        size=len(data),
        width=width,
        height=height,
        luma=round(float(gray.mean()), 4),
        contrast=round(float(gray.std()), 4),
        saturation=round(float(saturation.mean()), 4),
        sharpness=round(_sharpness(gray), 4),
        entropy=round(_entropy(gray), 4),
        grayscale=is_grayscale(image),
        hash=perceptual_hash(gray),
        thumbnail=cv2.resize(small, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).tobytes(),
    )


def measure_all(
    candidates: Iterable[Candidate],
    *,
    min_side: int = MIN_SIDE,
    workers: int | None = None,
    progress: Callable[[], object] | None = None,
) -> tuple[list[ImageFacts], list[Rejection]]:
    """Measure many images in threads; OpenCV and hashing let other threads run meanwhile.

    Args:
        candidates: The images.
        min_side: Shortest side in pixels that is accepted.
        workers: Threads; None leaves the number to the executor.
        progress: Called once for each image that is done.

    Returns:
        The facts of the usable images and the rejections of the others, both in the order of the candidates.
    """

    def one(candidate: Candidate) -> ImageFacts | Rejection:
        try:
            return measure(candidate, min_side=min_side)
        except BadImage as error:
            # A file's place is this machine's affair; the manifest is not.
            detail = str(error).replace(str(candidate.path), candidate.name)
            return Rejection(name=candidate.name, reason=error.reason, detail=detail)

    facts: list[ImageFacts] = []
    rejections: list[Rejection] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="measure") as pool:
        for result in pool.map(one, candidates):
            if isinstance(result, ImageFacts):
                facts.append(result)
            else:
                rejections.append(result)
            if progress is not None:
                progress()
    return facts, rejections


def perceptual_hash(gray: np.ndarray) -> int:
    """Return a hash that stays nearly the same when an image is scaled, compressed again or made a little brighter.

    It is pHash: which of the 8 x 8 lowest frequencies of the cosine transform are above their median (Zauner,
    "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, 3.2.1).

    Args:
        gray: uint8 [height, width].

    Returns:
        64 bits; 0 for a flat image.
    """
    small = cv2.resize(gray, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_SIDE, :_HASH_SIDE].ravel()
    low[0] = 0  # the mean, which says nothing about the shape
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


class CopyIndex:
    """Images already kept, searched for near-copies."""

    def __init__(self, facts: Sequence[ImageFacts] = ()) -> None:
        self._names = [fact.name for fact in facts]
        self._hashes = [fact.hash for fact in facts]
        self._thumbnails = [np.frombuffer(fact.thumbnail, np.uint8) for fact in facts]

    def add(self, fact: ImageFacts) -> None:
        """Keep one more image."""
        self._names.append(fact.name)
        self._hashes.append(fact.hash)
        self._thumbnails.append(np.frombuffer(fact.thumbnail, np.uint8))

    def near(self, fact: ImageFacts, distance: int) -> str | None:
        """Find a kept image of which this one is nearly a copy.

        Args:
            fact: The image.
            distance: Most bits in which the hashes may differ, 0..64.

        Returns:
            The name of the first such image, or None.
        """
        if not self._hashes:
            return None
        differing = np.bitwise_count(np.array(self._hashes, np.uint64) ^ np.uint64(fact.hash))
        own = np.frombuffer(fact.thumbnail, np.uint8).astype(np.int16)
        for index in np.flatnonzero(differing <= distance):
            if np.abs(self._thumbnails[index] - own).mean() <= _NEAR_THUMBNAIL:
                return self._names[index]
        return None


def _shrink(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _sharpness(gray: np.ndarray) -> float:
    _, deviation = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    return float(np.log1p(deviation[0, 0] ** 2))


def _entropy(gray: np.ndarray) -> float:
    share = np.bincount(gray.ravel(), minlength=256) / gray.size
    share = share[share > 0]
    return float((share * np.log2(1 / share)).sum())
