"""The loss ladder: its rungs in order, with what each loses. The command and the report both show what this makes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from artifacts.evidence import Evidence
from artifacts.measurements import Measurements, Simulation
from artifacts.release import CHIPS, PRECISIONS, ReleaseRecord, Variant
from artifacts.variant import Chip
from tasks.ladder.rows import (
    PYTORCH,
    TORCHSCRIPT,
    Row,
    in_simulator,
    missing,
    of_measurements,
    of_record,
    simulations,
)
from tasks.ladder.witnesses import of_evidence
from tasks.records import Record


class ChipLadder(Record):
    """The rungs of one chip, from fp32 downwards."""

    chip: Chip
    rows: tuple[Row, ...]


class Ladder(Record):
    """The rungs that all chips have in common, PyTorch and TorchScript, and each chip's own."""

    start: tuple[Row, ...]
    chips: tuple[ChipLadder, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rungs, each once."""
        return (*self.start, *(row for one in self.chips for row in one.rows))

    def only(self, chips: Collection[str], precisions: Collection[str]) -> Ladder:
        """Return the ladder of some chips and precisions; none named means all. What is lost stays as it was."""
        kept = (one for one in self.chips if not chips or one.chip in chips)
        wanted = {*precisions, None} if precisions else {*PRECISIONS, None}
        return self.model_copy(
            update={
                "chips": tuple(
                    ChipLadder(chip=one.chip, rows=tuple(row for row in one.rows if row.precision in wanted))
                    for one in kept
                )
            }
        )


class ClassLoss(NamedTuple):
    """One class: its AP in the reference, in each column, and the most that any of these loses."""

    name: str
    reference: float | None
    found: Mapping[str, float | None]
    worst: float | None


def of_release(record: ReleaseRecord, measurements: Measurements | None, evidence: Sequence[Evidence] = ()) -> Ladder:
    """Make the ladder of a published release.

    Args:
        record: What the release says of itself.
        measurements: All that was measured of it; None for a release from before they were kept.
        evidence: What devices measured of it later.
    """
    found = of_record(record) if measurements is None else of_measurements(measurements)
    variants = [one.variant for one in record.variants]
    seen = [row for one in evidence if (row := of_evidence(one, record)) is not None]
    return arranged(found, variants, simulations(record, measurements), seen)


def of_build(measurements: Measurements, variants: Sequence[Variant]) -> Ladder:
    """Make the ladder of a build, which no device has seen yet.

    Args:
        measurements: All that was measured.
        variants: The bmodels.
    """
    simulated = {one.variant: one for one in measurements.simulated}
    return arranged(of_measurements(measurements), variants, simulated)


def arranged(
    found: Iterable[Row],
    variants: Iterable[Variant],
    simulated: Mapping[Variant, Simulation],
    devices: Sequence[Row] = (),
) -> Ladder:
    """Put rungs in order, say which are missing, and work out what each loses.

    Args:
        found: The rungs up to the interpreter, in any order.
        variants: The bmodels.
        simulated: What the simulator gave for some of them.
        devices: What devices measured.
    """
    by_name = {row.rung: row for row in found}
    start = tuple(by_name.get(name) or missing(name, "network") for name in (PYTORCH, TORCHSCRIPT))
    bmodels = sorted(variants)
    wanted = {one.chip for one in bmodels} | {row.chip for row in by_name.values() if row.chip is not None}
    ladders = []
    for chip in (one for one in CHIPS if one in wanted):
        own = [one for one in bmodels if one.chip == chip]
        rows = [*_interpreted(chip, by_name), *_simulated(own, simulated, by_name), *_devices(chip, devices)]
        ladders.append(ChipLadder.model_validate({"chip": chip, "rows": tuple(_with_losses(rows, start))}))
    return Ladder(start=_start_with_losses(start), chips=tuple(ladders))


def class_losses(
    reference: Mapping[str, float | None], columns: Mapping[str, Mapping[str, float | None]]
) -> list[ClassLoss]:
    """Lay AP by class side by side, the class that loses most first; classes without a number are left out.

    Args:
        reference: AP by class of what the others are compared with.
        columns: AP by class of each of the others, by its name.
    """
    lines = []
    for name in dict.fromkeys([*reference, *(name for column in columns.values() for name in column)]):
        first, found = reference.get(name), {title: column.get(name) for title, column in columns.items()}
        if first is None and not any(ap is not None for ap in found.values()):
            continue
        lost = [first - ap for ap in found.values() if first is not None and ap is not None]
        lines.append(ClassLoss(name, first, found, max(lost, default=None)))
    return sorted(lines, key=lambda line: (line.worst is None, -(line.worst or 0.0), line.name))


def _interpreted(chip: str, by_name: Mapping[str, Row]) -> Iterator[Row]:
    for precision in PRECISIONS:
        name = f"{chip} {precision}"
        absent = {"why": "this chip has no fp16"} if (chip, precision) == ("BM1684", "fp16") else {}
        yield by_name.get(name) or missing(name, "interpreter", **absent, chip=chip, precision=precision)


def _simulated(
    variants: Iterable[Variant], simulated: Mapping[Variant, Simulation], by_name: Mapping[str, Row]
) -> Iterator[Row]:
    for variant in variants:
        yield in_simulator(variant, simulated.get(variant), by_name.get(f"{variant.chip} {variant.precision}"))


def _devices(chip: str, devices: Sequence[Row]) -> Iterator[Row]:
    own = [row for row in devices if row.chip == chip]
    yield from (row for row in own if row.kind == "simulator")
    for preprocessing in ("host", "hardware"):
        here = [row for row in own if row.preprocessing == preprocessing and row.kind == "device"]
        name = f"{chip} on a device, {preprocessing} preprocessing"
        yield from here or [missing(name, "device", chip=chip, preprocessing=preprocessing)]


def _start_with_losses(start: tuple[Row, ...]) -> tuple[Row, ...]:
    first, reference = start
    before = {"before": first.rung, "lost_before": _lost(first, reference)}
    return first.model_copy(update={"lost": _lost(reference, first)}), reference.model_copy(update=before)


def _with_losses(rows: Sequence[Row], start: Sequence[Row]) -> Iterator[Row]:
    reference = start[-1]
    for index, row in enumerate(rows):
        before = _before(row, [*start, *rows[:index]])
        if not row.compared or row.ap is None:
            yield row.model_copy(update={"bounds": None})
        else:
            step = {} if before is None else {"before": before.rung, "lost_before": _lost(before, row)}
            yield row.model_copy(update={"lost": _lost(reference, row), **step})


def _before(row: Row, earlier: Sequence[Row]) -> Row | None:
    """Find the rung that a row stands on: the nearest one that was measured and is of the same line."""
    usable = [one for one in earlier if one.ap is not None and one.compared]
    if row.kind == "interpreter":
        line = [one for one in usable if one.kind in ("network", "interpreter")]
    else:
        line = [one for one in usable if one.kind == "interpreter" and one.precision == row.precision]
        if row.preprocessing == "hardware":
            line += [one for one in usable if one.device == row.device and one.precision == row.precision]
            line = [one for one in line if one.preprocessing != "hardware"]
    return line[-1] if line else None


def _lost(before: Row, after: Row) -> float | None:
    return None if before.ap is None or after.ap is None else before.ap - after.ap
