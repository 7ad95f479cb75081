"""A release's figures, laid flat: one number for each thing that was measured of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from artifacts.measurements import Measurements, Rung
from artifacts.release import ReleaseRecord, VariantRecord

Measure = Literal["ap", "ap-size", "ap-class", "cosine", "snr", "latency", "size", "memory"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

_SIZES = ("small", "medium", "large")


class Key(NamedTuple):
    """What a figure is of.

    Attributes:
        subject: A bmodel by its path, or a rung of the loss ladder by its name, such as `BM1688 int8`.
        measure: What was measured.
        detail: Head, class or size of objects; empty where the measure has none.
    """

    subject: str
    measure: Measure
    detail: str = ""

    @property
    def order(self) -> tuple[int, str, int, str]:
        """Sorts by measure, then by subject, then by detail."""
        size = _SIZES.index(self.detail) if self.measure == "ap-size" and self.detail in _SIZES else 0
        return MEASURES.index(self.measure), self.subject, size, self.detail


class Side(NamedTuple):
    """One of two releases that are compared.

    Attributes:
        record: What the release says of itself.
        measurements: All that was measured of it; None for a release from before they were kept.
    """

    record: ReleaseRecord
    measurements: Measurements | None


def figures(side: Side) -> dict[Key, float | None]:
    """Lay a release's figures flat.

    Args:
        side: The release. Without its measurements, accuracy and cosine come from the record, and there is less.

    Returns:
        Figure by what it is of: AP and cosine as they are, SNR in decibel, times in milliseconds, sizes in bytes. None
        where it was looked for and there is none, such as the AP of a class without boxes.
    """
    found = dict(figure for one in side.record.variants for figure in _of_bmodel(one))
    if side.measurements is None:
        found |= dict(figure for one in side.record.variants for figure in _of_record(one))
    else:
        found |= dict(figure for rung in side.measurements.rungs for figure in _of_rung(rung))
    return found


def _of_bmodel(one: VariantRecord) -> Iterator[tuple[Key, float | None]]:
    path = one.variant.path
    yield Key(path, "latency"), one.estimated_ms
    yield Key(path, "size"), float(one.blob.size)
    yield Key(path, "memory"), float(one.device_memory)


def _of_record(one: VariantRecord) -> Iterator[tuple[Key, float | None]]:
    rung = f"{one.variant.chip} {one.variant.precision}"
    if one.accuracy is not None:
        yield Key(rung, "ap"), one.accuracy.ap
    for far in one.distances:
        yield Key(rung, "cosine", far.head), far.cosine


def _of_rung(rung: Rung) -> Iterator[tuple[Key, float | None]]:
    if rung.figures is not None:
        yield Key(rung.name, "ap"), rung.figures.ap
        for size, ap in rung.figures.by_size.items():
            yield Key(rung.name, "ap-size", size), ap
        for name, ap in rung.figures.by_class.items():
            yield Key(rung.name, "ap-class", name), ap
    for head, far in rung.distances.items():
        yield Key(rung.name, "cosine", head), far.cosine
        yield Key(rung.name, "snr", head), far.snr_db
