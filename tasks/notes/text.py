"""The notes of a release as Markdown. Pure; what is equal gives equal notes, so no time is in it."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.release import ReleaseRecord, VariantRecord
from inference.vendor_programs import PROGRAMS, SIZE, obstacles
from tasks.ladder.ladder import of_release
from tasks.ladder.text import DEMONSTRATION
from tasks.markdown import escaped, table
from tasks.notes.accuracy import HEADING as ACCURACY_HEADING
from tasks.notes.accuracy import OURS, VENDORS, accuracy_rows, other_protocols, protocol_text, simulated
from tasks.notes.published import CHIP_MS, SOURCE
from tasks.notes.times import CHIP_HEADING, STAGE_HEADING, chip_rows, stage_rows
from tasks.released import Released

MODELS_HEADING = (
    "model",
    "size MB",
    "device memory MB",
    "compiled by",
    "run by the vendor's programs",
    "the vendor has one of that name",
)
# Of ctdet_coco_dlav0_1x.pth, which the vendor's models are made from; the first is how older records write it.
_VENDORS_NETWORKS = ("dlav0_34", "dlav0_34 x1")

_VENDOR_PROTOCOL = (
    "the vendor's: 1000 images of val2017 that it drew at random and ships, `conf_thresh` 0.35, the best class of the "
    "best 75 cells, boxes in whole pixels, pycocotools. At that commit none of its programs leaves what is below "
    "`conf_thresh` out of its result"
)
_NEVER = (
    "Rows of two protocols are not compared: other images, and other detections that count, move AP by more than a "
    "precision does."
)
_CHIP = (
    "Ours is the compiler's estimate for one run of the whole batch, divided by the batch; no device was used. The "
    "vendor's is what `bmrt_test` measured of the vendor's own models on a chip. An estimate beside a measurement is "
    "no comparison of two models: it leaves out what a device adds."
)
_STAGES = (
    "Milliseconds an image. Ours are medians over the calls of `inference validate`, one stage after the other, from "
    "the reports that devices attached to the release; the vendor's are means over its 1000 images, as its programs "
    "print them. *decode_time* is from file to pixels, *postprocess_time* from head tensors to boxes; all but "
    "inference tell of the host's processor."
)


def notes(released: Released) -> str:
    """Write the notes.

    Args:
        released: The release, its measurements and what is attached to it.

    Returns:
        Markdown: models, accuracy, time on the chip, time by stage; ours and the vendor's, each number with its
        protocol and how it was obtained.
    """
    record = released.record
    lines = [f"# {escaped(record.name)} {escaped(record.version)}", "", *_about(released), ""]
    lines += ["## Models", "", *_models(record), "## Accuracy", "", *_accuracy(released)]
    lines += ["## Time on the chip", "", _CHIP, "", _network(record), "", *table(CHIP_HEADING, chip_rows(record)), ""]
    lines += ["## Time by stage", "", _STAGES, "", _network(record), ""]
    for chip in record.chips:
        lines += [f"### {chip}", "", *table(STAGE_HEADING, stage_rows(chip, released)), ""]
    return "\n".join(lines)


def _about(released: Released) -> Iterator[str]:
    record = released.record
    made, size = record.provenance, record.preprocess
    if record.demonstration:
        yield from (f"**{DEMONSTRATION}**", "")
    yield f"- Release: `{released.digest}`"
    yield f"- Network: {escaped(record.network)}, input {size.width} x {size.height}, {len(record.class_names)} classes"
    yield f"- Weights: `{made.weights_digest}`"
    yield f"- Compiler: {escaped(made.toolchain.name)} {escaped(made.toolchain.version)}"
    if record.calibration is not None:
        yield f"- Calibration of int8: {record.calibration.count} images, method {escaped(record.calibration.method)}"
    yield f"- The vendor's numbers: {SOURCE}; measured by the vendor of its own models, quoted here, not repeated"


def _models(record: ReleaseRecord) -> Iterator[str]:
    yield from (*table(MODELS_HEADING, [_model(one, record) for one in record.variants]), "")
    for reason, paths in _reasons(record).items():
        where = "every model" if len(paths) == len(record.variants) else ", ".join(paths)
        yield f"- Where not: the model {escaped(reason)} ({where})"
    ours = {one.variant.path.removesuffix(".bmodel") for one in record.variants}
    absent = [stem for stem in CHIP_MS if stem not in ours]
    if absent:
        yield f"- In the vendor's download and not in this release: {', '.join(absent)}"
    yield ""


def _model(one: VariantRecord, record: ReleaseRecord) -> tuple[str, ...]:
    made = record.provenance.toolchain
    running = [program.name for program in PROGRAMS if not obstacles(program, one, record.preprocess)]
    return (
        one.variant.path,
        f"{one.blob.size / 1e6:.2f}",
        f"{one.device_memory / 1e6:.2f}",
        escaped(f"{made.name} {made.version}"),
        "all four" if len(running) == len(PROGRAMS) else ", ".join(running) or "none",
        "yes" if one.variant.path.removesuffix(".bmodel") in CHIP_MS else "no",
    )


def _reasons(record: ReleaseRecord) -> dict[str, list[str]]:
    """Collect what keeps programs from running models: reason to the models that it is about."""
    found: dict[str, list[str]] = {}
    for one in record.variants:
        for reason in dict.fromkeys(why for each in PROGRAMS for why in obstacles(each, one, record.preprocess)):
            found.setdefault(reason, []).append(one.variant.path)
    return found


def _accuracy(released: Released) -> Iterator[str]:
    yield from (*_protocols(released), "", _NEVER, "", _network(released.record), "")
    for ladder in of_release(released.record, released.measurements).chips:
        yield from (f"### {ladder.chip}", "", *table(ACCURACY_HEADING, accuracy_rows(ladder, released)), "")
        if told := simulated(ladder):
            yield from (told, "")


def _protocols(released: Released) -> Iterator[str]:
    own = released.record.protocol
    unknown = "accuracy was not measured: the weights are a stand-in, or nothing is annotated"
    yield f"- **{OURS}**: this release's: {unknown if own is None else protocol_text(own)}"
    for letter, protocol in other_protocols(released).items():
        yield f"- **{letter}**: of what a device measured: {protocol_text(protocol)}"
    yield f"- **{VENDORS}**: {_VENDOR_PROTOCOL}"


def _network(record: ReleaseRecord) -> str:
    size = record.preprocess
    own = f"{escaped(record.network)} at {size.width} x {size.height}"
    if record.network in _VENDORS_NETWORKS and (size.width, size.height) == (SIZE, SIZE):
        return f"Both are of one network, {own}; the weights are told by their digest."
    return f"**They are of different networks**: this release's is {own}, the vendor's dlav0_34 x1 at {SIZE} x {SIZE}."
