"""Print the loss ladder of a release: python -m flows.ladder [REF] [--chip C] [--precision P] [--classes] [--json]"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from artifacts.reference import Reference
from artifacts.release import CHIPS, PRECISIONS, ReleaseRecord
from artifacts.standard_output import ended
from flows.command import WRONG_USAGE, add_settings, carried_out, release_of
from tasks.ladder.ladder import ChipLadder, Ladder, class_losses, of_release
from tasks.ladder.rows import Row
from tasks.ladder.text import DEMONSTRATION, HEADING, aligned, cells, class_table, legend
from tasks.released import Released, read_released


def run_ladder(argv: Sequence[str]) -> int:
    """Print the loss ladder of a release as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    asked = release_of(options)
    if asked is None:
        return WRONG_USAGE
    settings, reference = asked
    return carried_out("reading of the ladder", settings, lambda received: _show(reference, options))


def text(released: Released, ladder: Ladder, reference: str, *, classes: bool = False) -> Iterator[str]:
    """Write a ladder for a terminal, line by line.

    Args:
        released: The release.
        ladder: Its ladder, of the chips and precisions that are wanted.
        reference: How it was asked for.
        classes: Whether AP by class is wanted too.
    """
    record = released.record
    yield f"{reference} is {record.name} {record.version} ({released.digest})"
    yield from _notes(record)
    yield legend(ladder.rows)
    for one in ladder.chips:
        rows = (*ladder.start, *one.rows)
        yield from ("", f"{one.chip}: accuracy", "")
        yield from aligned(HEADING.accuracy, [cells(row).accuracy for row in rows])
        yield from ("", f"{one.chip}: distance of the heads", "")
        yield from aligned(HEADING.distance, [cells(row).distance for row in rows if row.heads])
        if classes:
            yield from ("", f"{one.chip}: AP by class, what loses most first", "")
            yield from _classes(ladder.start[-1], one)


def document(released: Released, ladder: Ladder) -> str:
    """Write a ladder as JSON, with all figures as they were measured.

    Args:
        released: The release.
        ladder: Its ladder, of the chips and precisions that are wanted.
    """
    record = released.record
    about = {"name": record.name, "version": record.version, "digest": released.digest}
    protocol = None if record.protocol is None else record.protocol.model_dump(mode="json")
    release = {**about, "demonstration": record.demonstration, "protocol": protocol}
    return json.dumps({"release": release, **ladder.model_dump(mode="json")}, indent=1)


def _show(reference: Reference, options: argparse.Namespace) -> None:
    released = read_released(reference)
    ladder = of_release(released.record, released.measurements, released.evidence)
    ladder = ladder.only(options.chip, options.precision)
    if options.json:
        print(document(released, ladder))
    else:
        print("\n".join(text(released, ladder, str(reference), classes=options.classes)))


def _notes(record: ReleaseRecord) -> Iterator[str]:
    if record.demonstration:
        yield DEMONSTRATION
    protocol = record.protocol
    if protocol is None:
        yield "Accuracy was not measured: the weights are a stand-in, or nothing is annotated."
    else:
        yield (
            f"AP: {protocol.metric}, {protocol.images} images, protocol {protocol.name} (score >= "
            f"{protocol.score_floor:g}, best {protocol.top_k}), data set {protocol.dataset_digest}"
        )


def _classes(reference: Row, chip: ChipLadder) -> list[str]:
    # What is identical in the simulator has the interpreter's own classes; what is not compared has other images'.
    shown = [row for row in chip.rows if row.by_class and row.compared and (row.kind != "simulator" or row.device)]
    columns = {row.rung: row.by_class for row in shown}
    lines = class_losses(reference.by_class, columns)
    return aligned(*class_table(lines, list(columns))) if lines else ["not measured"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.ladder",
        description="Print what each step from PyTorch to the device costs in accuracy, as a release carries it.",
    )
    parser.add_argument(
        "reference", nargs="?", metavar="REF", help="oci:FOLDER:TAG or host/repository:tag (the profile's release)"
    )
    add_settings(parser)
    parser.add_argument("--chip", choices=CHIPS, action="append", default=[], help="only this chip; may be repeated")
    parser.add_argument(
        "--precision", choices=PRECISIONS, action="append", default=[], help="only this precision; may be repeated"
    )
    parser.add_argument("--classes", action="store_true", help="AP by class as well, what loses most first")
    parser.add_argument("--json", action="store_true", help="print JSON, with every figure as it was measured")
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_ladder, sys.argv[1:]))
