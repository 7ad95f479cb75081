"""The table of accuracy in the notes of a release: the vendor's columns, and by which protocol and how. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.evidence import Evidence
from artifacts.protocols import PROTOCOLS
from artifacts.release import Protocol
from tasks.ladder.ladder import ChipLadder
from tasks.ladder.rows import Row, counted
from tasks.ladder.text import number
from tasks.ladder.witnesses import incomparable
from tasks.markdown import escaped
from tasks.notes.published import ACCURACY, PublishedAccuracy, chip_of
from tasks.released import Released

HEADING = ("platform", "program", "model", "AP@IoU=0.5:0.95", "AP@IoU=0.5", "protocol", "how it was obtained")

OURS, VENDORS = "A", "V"
"""The release's own protocol, and the vendor's."""


def protocol_text(protocol: Protocol) -> str:
    """Say what a protocol is.

    Args:
        protocol: The protocol.
    """
    rules = PROTOCOLS.get(protocol.name)
    more = "" if rules is None else ", best class of a cell only" * rules.one_class_a_cell
    more += "" if rules is None else ", boxes cut to whole pixels" * rules.whole_pixels
    return (
        f"`{escaped(protocol.name)}`, {escaped(protocol.metric)}, {counted(protocol.images)} (data set "
        f"`{protocol.dataset_digest}`), scores from {protocol.score_floor:g}, best {protocol.top_k} of an image{more}"
    )


def other_protocols(released: Released) -> dict[str, Protocol]:
    """Give each protocol of the evidence that is not the release's own a letter, from B on.

    Args:
        released: The release with its evidence.
    """
    own = released.record.protocol
    others = dict.fromkeys(one.protocol for one in _with_accuracy(released) if one.protocol != own)
    return dict(zip("BCDEFGHIJKLMNOPQRSTU", others, strict=False))


def accuracy_rows(ladder: ChipLadder, released: Released) -> list[tuple[str, ...]]:
    """Return the rows of one chip, ours before the vendor's.

    Args:
        ladder: The chip's rungs, as the release carries them.
        released: The release with its evidence.
    """
    chip = ladder.chip
    return [
        *(_of_row(row) for row in ladder.rows if row.kind == "interpreter" and row.measured),
        *(_of_row(row) for row in ladder.rows if row.kind == "simulator" and row.ap is not None),
        *(_of_evidence(one, released) for one in _with_accuracy(released) if one.chip == chip),
        *(_of_vendor(one) for one in ACCURACY if chip_of(one.platform) == chip),
    ]


def simulated(ladder: ChipLadder) -> str:
    """Say what the vendor's simulator gave of the models for which it gives no AP; empty where there are none.

    Args:
        ladder: The chip's rungs, as the release carries them.
    """
    rows = [row for row in ladder.rows if row.kind == "simulator" and row.ap is None and row.measured]
    told = "; ".join(f"{row.precision} {_model(row)}: {row.remark.removesuffix('; no AP is claimed')}" for row in rows)
    return f"In the vendor's simulator, for which no AP is claimed: {told}." if rows else ""


def _of_row(row: Row) -> tuple[str, ...]:
    images = "" if row.images is None else f", {counted(row.images)}"
    if row.kind == "simulator":
        platform, program = f"simulator of {row.chip}", "vendor's simulator"
        model, how = _model(row), row.remark
    else:
        platform, program, model = "no device", "compiler's interpreter", ""
        how = f"in the interpreter{images}; the same for every batch and number of cores"
    name = f"{row.chip} {row.precision} {model}".rstrip()
    return (platform, program, name, number(row.ap), number(row.ap50), OURS if row.ap is not None else "-", how)


def _model(row: Row) -> str:
    return row.rung.partition("(")[2].rstrip(")")


def _of_evidence(one: Evidence, released: Released) -> tuple[str, ...]:
    refusal = incomparable(one, released.record)
    assert one.accuracy is not None
    letters = {protocol: letter for letter, protocol in other_protocols(released).items()}
    letter = OURS if one.protocol == released.record.protocol else letters.get(one.protocol, "another")
    how = f"measured on {one.place}, {one.created}" + (
        "" if refusal is None else f"; not compared with the rest: {refusal}"
    )
    platform = f"{'device' if one.on_device else 'validation'} {one.device} ({one.chip})"
    figures = (number(one.accuracy.ap), number(one.accuracy.ap50))
    return (escaped(platform), "inference validate", escaped(one.variant), *figures, letter, escaped(how))


def _of_vendor(one: PublishedAccuracy) -> tuple[str, ...]:
    return (
        one.platform,
        one.program,
        f"{one.stem} (the vendor's)",
        one.ap,
        one.ap50,
        VENDORS,
        "measured by the vendor",
    )


def _with_accuracy(released: Released) -> Iterator[Evidence]:
    return (one for one in released.evidence if one.accuracy is not None)
