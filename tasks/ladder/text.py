"""The cells of a ladder as text, for a table in a report and for one on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tasks.distance import HEADS
from tasks.ladder.ladder import ClassLoss
from tasks.ladder.rows import TORCHSCRIPT, Row

DEMONSTRATION = "A demonstration of the pipeline: its numbers say nothing about unseen photographs."

SIZES = ("small", "medium", "large")


class Cells(NamedTuple):
    """One row as text, or the heading of the columns."""

    rung: str
    images: str
    ap: str
    ap50: str
    ap75: str
    by_size: str
    lost_before: str
    lost: str
    bounds: str
    heatmap: str
    size: str
    offset: str
    remark: str

    @property
    def accuracy(self) -> tuple[str, ...]:
        """The columns about AP, and the remark."""
        return (*self[:9], self.remark)

    @property
    def distance(self) -> tuple[str, ...]:
        """The columns about the heads."""
        return (self.rung, self.heatmap, self.size, self.offset)


HEADING = Cells(
    rung="rung",
    images="images",
    ap="AP",
    ap50="AP50",
    ap75="AP75",
    by_size=" / ".join(SIZES),
    lost_before="AP lost to the rung before",
    lost="AP lost to TorchScript",
    bounds="bounds, each 95 %",
    heatmap="heatmap cosine / SNR dB",
    size="size cosine / SNR dB",
    offset="offset cosine / SNR dB",
    remark="remark",
)


def cells(row: Row) -> Cells:
    """Write a row.

    Args:
        row: The rung.
    """
    heads = {head: _far(row, head) for head in HEADS}
    return Cells(
        rung=row.rung,
        images="-" if row.images is None else str(row.images),
        ap=number(row.ap),
        ap50=number(row.ap50),
        ap75=number(row.ap75),
        by_size=" / ".join(number(row.by_size.get(size)) for size in SIZES) if row.by_size else "-",
        lost_before=_step(row),
        lost=change(row.lost),
        bounds="-" if row.bounds is None else " to ".join(map(change, row.bounds)),
        remark=row.remark or "-",
        **heads,
    )


def number(value: float | None) -> str:
    """Write an AP."""
    return "-" if value is None else f"{value:.4f}"


def change(value: float | None) -> str:
    """Write how much AP is lost."""
    # + 0.0 turns a negative zero into a plain one
    return "-" if value is None else f"{round(value, 4) + 0.0:.4f}"


def class_table(lines: Iterable[ClassLoss], titles: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Write heading and rows of AP by class, each with what it loses.

    Args:
        lines: The classes.
        titles: The columns, of those that the lines have.
    """
    rows = [(line.name, number(line.reference), *(_of_class(line, title) for title in titles)) for line in lines]
    return ("class", "TorchScript", *(f"{title} (lost)" for title in titles)), rows


def aligned(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table in columns as wide as they have to be."""
    table = [heading, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heading))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]


def legend(rows: Iterable[Row]) -> str:
    """Say what the columns of some rows mean."""
    known = {row.distance_images for row in rows if row.distance_images and row.kind != "simulator"}
    over = f", over {' or '.join(map(str, sorted(known)))} images" if known else ""
    return (
        "AP lost is negative where a rung gains; its bounds, against the TorchScript, are by a paired bootstrap over "
        f"the images. Heads: each against the TorchScript{over}; in the simulator against "
        "the interpreter, on the images that it ran."
    )


def _step(row: Row) -> str:
    if row.lost_before is None:
        return "-"
    return f"{change(row.lost_before)} ({(row.before or '').removeprefix(f'{row.chip} ')})"


def _far(row: Row, head: str) -> str:
    far = row.heads.get(head)
    if far is None:
        return "reference" if row.rung == TORCHSCRIPT and row.measured else "-"
    cosine = "-" if far.cosine is None else f"{far.cosine:.5f}"
    return f"{cosine} / {'-' if far.snr_db is None else f'{far.snr_db:.1f}'}"


def _of_class(line: ClassLoss, title: str) -> str:
    ap = line.found.get(title)
    if ap is None:
        return "-"
    return number(ap) if line.reference is None else f"{number(ap)} ({change(line.reference - ap)})"
