"""What stands on the report's page, as plain values that a template puts in order. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tasks.ladder.ladder import class_losses
from tasks.ladder.rows import TORCHSCRIPT
from tasks.ladder.text import HEADING, cells
from tasks.publish import METRIC, Results
from tasks.records import Compiled, Measured
from tasks.report.charts import Bar, LadderRow
from tasks.report.text import (
    CHECK_HEADING,
    VARIANT_HEADING,
    About,
    check_rows,
    failed,
    notes,
    rungs_of,
    variant_rows,
)
from tasks.report.ways import TENSORS_HEADING, WAYS_HEADING, about_tensors, tensor_rows, way_rows

NOTABLE_LOSS = 0.05
"""A class or size that loses more AP to the TorchScript than this is marked."""


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    marked: bool = False


class Sheet(NamedTuple):
    """One table; the first cell of a row is what the row is about.

    Attributes:
        caption: What it shows.
        heading: Of the columns.
        rows: The cells.
        remarks: What is said below the first cell of each row; empty where nothing is said of any.
    """

    caption: str
    heading: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    remarks: tuple[str, ...] = ()


def facts(results: Results, build: About) -> Iterator[tuple[str, str]]:
    """Yield what a reader must know to place the numbers: term and text."""
    yield "Profile", build.profile
    yield "Network", build.network
    yield "Weights", results.checkpoint.blob.digest
    yield from notes(results, build)


def variants(results: Results) -> Sheet:
    """Make the table of the bmodels."""
    rows = (tuple(Cell(text, text in ("FAILED", "more images")) for text in row) for row in variant_rows(results))
    return Sheet("One row a bmodel", VARIANT_HEADING, tuple(rows))


def rungs(results: Results) -> Sheet:
    """Make the table of the loss ladder: accuracy, with what is to be said below the name of a rung."""
    rows = rungs_of(results).rows
    lines = tuple(tuple(map(Cell, cells(row).accuracy[:-1])) for row in rows)
    return Sheet("Every rung with what it loses", HEADING.accuracy[:-1], lines, tuple(row.remark for row in rows))


def heads(results: Results) -> Sheet:
    """Make the table of the distances on the loss ladder, of the rungs that have any."""
    rows = [row for row in rungs_of(results).rows if row.heads]
    lines = tuple(tuple(map(Cell, cells(row).distance)) for row in rows)
    return Sheet("Distance of each head", HEADING.distance, lines)


def checks(results: Results) -> Sheet | None:
    """Make the table of what was checked of the calibration; None without one."""
    rows = tuple(tuple(Cell(text, text in ("warning", "not known")) for text in row) for row in check_rows(results))
    return Sheet("What was checked of the calibration", CHECK_HEADING, rows) if rows else None


def ways(results: Results) -> Sheet | None:
    """Make the table of the ways to make int8; None where the first was good enough."""
    if not results.attempts:
        return None
    rows = tuple(tuple(map(Cell, row)) for row in way_rows(results))
    return Sheet("One row a way", WAYS_HEADING, rows)


def tensors(results: Results) -> Iterator[Sheet]:
    """Yield the tables of the tensors that bring int8's error, where an attempt asked for them."""
    for sensitivity in results.sensitivities:
        rows = tensor_rows(sensitivity, results.attempts)
        yield Sheet(about_tensors(sensitivity), TENSORS_HEADING, tuple(tuple(map(Cell, row)) for row in rows))


def sizes(results: Results) -> Sheet | None:
    """Make the table of AP by the size of objects; None where AP means nothing."""
    columns = {name: one.by_size for name, one in distinct(results).items()}
    caption = "AP by size (COCO: small is below 32 x 32 pixels, large from 96 x 96)"
    return _by(results.reference.by_size, columns, "objects", caption)


def classes(results: Results) -> Sheet | None:
    """Make the table of AP by class, what loses most first; None where AP means nothing."""
    columns = {name: one.by_class for name, one in distinct(results).items()}
    caption = "AP by class, of those that occur in the evaluation set; what loses most stands first"
    return _by(results.reference.by_class, columns, "class", caption, sort=True)


def distinct(results: Results) -> dict[str, Measured]:
    """Return the rungs by name; those that agree in all their figures once, under a common name."""
    groups: list[list[Measured]] = []
    for rung in (results.network, results.reference, *results.measured):
        same = (group for group in groups if _figures(group[0]) == _figures(rung))
        found = next(same, None)
        if found is None:
            groups.append([rung])
        else:
            found.append(rung)
    return {common_name(group): group[0] for group in groups}


def common_name(rungs: list[Measured]) -> str:
    """Name rungs together, such as `BM1684X, BM1688 int8`."""
    chips: dict[str, list[str]] = {}
    for rung in rungs:
        if rung.variant is None:
            chips[rung.rung] = []
        else:
            chips.setdefault(rung.variant.precision, []).append(rung.variant.chip)
    return "; ".join(f"{', '.join(names)} {key}" if names else key for key, names in chips.items())


def reasons(results: Results) -> list[tuple[str, tuple[str, ...]]]:
    """Return what did not pass the gate, with the reasons."""
    return [(verdict.variant.path, verdict.reasons) for verdict in failed(results.verdicts)]


def commands(results: Results) -> list[tuple[str, str]]:
    """Return the compiler's command lines: what each made, and the line."""
    found = [(one.variant.path, one.evidence.argv) for one in results.compiled]
    if results.table is not None:
        found.insert(0, ("calibration table", results.table.evidence.argv))
    return [(name, shlex.join(argv)) for name, argv in found]


def accuracy_bars(results: Results) -> tuple[list[Bar], tuple[float, str] | None]:
    """Return AP for each chip and precision, and the network's own; no bars where AP means nothing."""
    measured = [one for one in results.measured if one.ap is not None and one.variant is not None]
    found = [Bar(one.rung, one.ap or 0.0, _precision(one), f"{one.ap:.4f}") for one in measured]
    first = results.network.ap
    return found, None if first is None else (first, f"PyTorch {first:.4f}")


def latency_bars(results: Results) -> list[Bar]:
    """Return the estimated time of one image for each bmodel that has one."""
    timed = [one for one in results.compiled if one.estimated_ms is not None]
    return [
        Bar(_short(one), ms / one.variant.batch, one.variant.precision, _time(ms, one.variant.batch))
        for one in timed
        if (ms := one.estimated_ms) is not None
    ]


def ladder_rows(results: Results) -> list[LadderRow]:
    """Return what the chart of the loss ladder shows."""
    return [
        LadderRow(
            row.rung,
            _drop(row.lost, own=row.rung == TORCHSCRIPT and row.ap is not None),
            {head: far.snr_db for head, far in row.heads.items() if far.snr_db is not None},
        )
        for row in rungs_of(results).rows
        if row.measured and row.kind in ("network", "interpreter")
    ]


ACCURACY_LABEL = METRIC
LATENCY_LABEL = "estimated milliseconds for one image"


def _by(
    reference: Mapping[str, float | None],
    columns: Mapping[str, Mapping[str, float | None]],
    what: str,
    caption: str,
    *,
    sort: bool = False,
) -> Sheet | None:
    lines = class_losses(reference, columns)
    if not sort:
        order = list(dict.fromkeys(name for column in columns.values() for name in column))
        lines.sort(key=lambda line: order.index(line.name))
    rows = tuple((Cell(line.name), *(_value(value, line.reference) for value in line.found.values())) for line in lines)
    return Sheet(caption, (what, *columns), rows) if rows else None


def _drop(lost: float | None, *, own: bool) -> float | None:
    if own:
        return 0.0
    return None if lost is None else round(lost, 4) + 0.0


def _value(value: float | None, first: float | None) -> Cell:
    if value is None:
        return Cell("-")
    return Cell(f"{value:.4f}", first is not None and first - value > NOTABLE_LOSS)


def _figures(rung: Measured) -> tuple[object, ...]:
    return rung.ap, rung.ap50, rung.ap75, rung.by_size, rung.by_class


def _precision(rung: Measured) -> str:
    return rung.variant.precision if rung.variant else ""


def _short(compiled: Compiled) -> str:
    variant = compiled.variant
    cores = f" {variant.cores} cores" if variant.cores > 1 else ""
    raw = " raw" if variant.io == "raw" else ""
    return f"{variant.chip} {variant.precision} b{variant.batch}{cores}{raw}"


def _time(ms: float, batch: int) -> str:
    return f"{ms:.2f} ms" if batch == 1 else f"{ms / batch:.2f} ms ({ms:.2f} for {batch})"
