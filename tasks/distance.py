"""How far a head tensor is from its reference, for each head apart.

The heads differ a hundredfold in magnitude and in their number of channels; one figure for the whole tensor stays at a
cosine of 0.999 when sizes or offsets are lost altogether.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict

HEADS: dict[str, slice] = {"heatmap": slice(None, -4), "size": slice(-4, -2), "offset": slice(-2, None)}
"""Channels of each head on the second axis of the head tensor."""

MAX_SNR_DB = 200.0
"""Stands for no difference at all: float32 cannot show more than about 150 dB."""

_MIN_CHANNELS = 5


class Distance(BaseModel):
    """How far one head is from its reference, over all images that were added.

    Attributes:
        cosine: Cosine of the angle between the two as vectors, -1..1; 1 where both are zero, 0 where one is.
        snr_db: 10 log10(energy of the reference / energy of the difference) in dB, within -200..200; 200 where they
            are equal.
        max_abs: Largest absolute difference, in the head's units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cosine: float
    snr_db: float
    max_abs: float


class _Sums:
    """Running float64 sums of one head."""

    def __init__(self) -> None:
        self.dot = self.reference = self.candidate = self.difference = self.max_abs = 0.0

    def add(self, reference: np.ndarray, candidate: np.ndarray) -> None:
        a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
        gap = a - b
        self.dot += float(a @ b)
        self.reference += float(a @ a)
        self.candidate += float(b @ b)
        self.difference += float(gap @ gap)
        self.max_abs = max(self.max_abs, float(np.abs(gap).max(initial=0.0)))

    def distance(self) -> Distance:
        return Distance(cosine=self._cosine(), snr_db=self._snr_db(), max_abs=self.max_abs)

    def _cosine(self) -> float:
        if self.reference == 0 or self.candidate == 0:
            return 1.0 if self.reference == self.candidate else 0.0
        cosine = self.dot / (math.sqrt(self.reference) * math.sqrt(self.candidate))
        return min(1.0, max(-1.0, cosine))

    def _snr_db(self) -> float:
        if self.difference == 0:
            return MAX_SNR_DB
        if self.reference == 0:
            return -MAX_SNR_DB
        return min(MAX_SNR_DB, max(-MAX_SNR_DB, 10 * math.log10(self.reference / self.difference)))


class HeadDistances:
    """Distances summed up over any number of images, none of which is kept."""

    def __init__(self) -> None:
        self._sums = {head: _Sums() for head in HEADS}
        self.images = 0

    def add(self, reference: np.ndarray, candidate: np.ndarray) -> None:
        """Take in one batch.

        Args:
            reference: floating [N, C + 4, h, w] (batch, channel, row, column): heatmap logits of C classes, sizes,
                offsets.
            candidate: Of the same shape.

        Raises:
            ValueError: The shapes differ or are not such, or a value is NaN or infinite. Nothing was taken in.
        """
        _check(reference, candidate)
        for head, channels in HEADS.items():
            self._sums[head].add(reference[:, channels], candidate[:, channels])
        self.images += len(reference)

    def distances(self) -> dict[str, Distance]:
        """Return the distance of each head (``heatmap``, ``size``, ``offset``) over everything taken in.

        Raises:
            ValueError: Nothing was taken in, so that there is no distance.
        """
        if self.images == 0:
            raise ValueError("no images were compared, so there is no distance")
        return {head: sums.distance() for head, sums in self._sums.items()}


def head_distances(reference: np.ndarray, candidate: np.ndarray) -> dict[str, Distance]:
    """Return the distance of each head between two head tensors.

    Args:
        reference: floating [N, C + 4, h, w], N >= 1: heatmap logits of C classes, sizes, offsets.
        candidate: Of the same shape.

    Returns:
        A distance for each of ``heatmap``, ``size`` and ``offset``.

    Raises:
        ValueError: The shapes differ or are not such, or a value is NaN or infinite.
    """
    accumulator = HeadDistances()
    accumulator.add(reference, candidate)
    return accumulator.distances()


def _check(reference: np.ndarray, candidate: np.ndarray) -> None:
    if reference.shape != candidate.shape:
        raise ValueError(f"head tensors must have one shape to be compared: {reference.shape}, {candidate.shape}")
    if reference.ndim != 4 or reference.shape[1] < _MIN_CHANNELS:
        raise ValueError(f"a head tensor is [N, classes + 4, h, w], not {reference.shape}")
    for name, values in (("reference", reference), ("candidate", candidate)):
        if not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"the {name} is {values.dtype}, not floating: dequantise it first")
        bad = values.size - int(np.count_nonzero(np.isfinite(values)))
        if bad:
            raise ValueError(f"{bad} of {values.size} values of the {name} are NaN or infinite")
