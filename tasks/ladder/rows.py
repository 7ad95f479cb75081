"""What a ladder is made of: one row for each thing that was measured, and for each that was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from artifacts.measurements import Distance, Measurements, Rung, Simulation
from artifacts.release import ReleaseRecord, Variant, VariantRecord
from artifacts.variant import Chip, Precision
from tasks.records import Record

PYTORCH, TORCHSCRIPT = "PyTorch", "TorchScript"
NOT_MEASURED = "not measured"

Kind = Literal["network", "interpreter", "simulator", "device"]
Preprocessing = Literal["host", "hardware"]


class Far(Record):
    """How far one head is from what it is compared with: cosine similarity and signal to noise, decibel."""

    cosine: float | None
    snr_db: float | None = None


class Row(Record):
    """One rung.

    Attributes:
        rung: Its name, such as `TorchScript`, `BM1688 int8` or `BM1688 int8 in the simulator (1b)`.
        kind: What ran the network.
        chip: None for the network before it was compiled.
        precision: None for the network before it was compiled, and for a device that measured nothing.
        device: Name of the device in the settings of whoever measured there.
        preprocessing: Of a device: all of it on the host, or on the chip: the arithmetic, inside a bmodel that takes
            raw pixels, or everything, by bmcv.
        measured: False where nothing is known; `remark` says why.
        compared: False where the numbers are of another protocol, data set or model; `remark` says which.
        images: How many the figures are over; of a simulator, how many it ran.
        ap: AP over IoU 0.50 to 0.95, 0 to 1; None where it was not measured or means nothing.
        ap50: AP at IoU 0.50.
        ap75: AP at IoU 0.75.
        by_size: AP of small, medium and large objects.
        by_class: AP by the class's name.
        before: The rung that `lost_before` is against.
        lost_before: AP lost to it, negative where it gains.
        lost: AP lost to the TorchScript, negative where it gains.
        bounds: With 95 % confidence each, `lost` is not less than the first and not more than the second.
        heads: By head, against the TorchScript; of a simulator, against the interpreter.
        distance_images: How many images `heads` is over.
        remark: What else has to be said.
    """

    rung: str
    kind: Kind
    chip: Chip | None = None
    precision: Precision | None = None
    device: str | None = None
    preprocessing: Preprocessing | None = None
    measured: bool = True
    compared: bool = True
    images: int | None = None
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    by_size: dict[str, float | None] = Field(default_factory=dict)
    by_class: dict[str, float | None] = Field(default_factory=dict)
    before: str | None = None
    lost_before: float | None = None
    lost: float | None = None
    bounds: tuple[float, float] | None = None
    heads: dict[str, Far] = Field(default_factory=dict)
    distance_images: int | None = None
    remark: str = ""


def counted(images: int) -> str:
    """Return a number of images in words."""
    return "1 image" if images == 1 else f"{images} images"


def short(variant: Variant) -> str:
    """Name a variant beside its chip and precision, such as `1b 2core`."""
    return variant.stem.removeprefix(f"centernet_{variant.precision}_").replace("_", " ")


def of_measurements(measurements: Measurements) -> list[Row]:
    """Make a row of each rung that a release carries, without the simulator's."""
    return [_of_rung(rung) for rung in measurements.rungs]


def of_record(record: ReleaseRecord) -> list[Row]:
    """Make a row of each chip and precision of a release from before all measurements were kept."""
    found: dict[str, Row] = {}
    for one in record.variants:
        name = f"{one.variant.chip} {one.variant.precision}"
        images = None if record.protocol is None or one.accuracy is None else record.protocol.images
        row = Row(
            rung=name,
            kind="interpreter",
            chip=one.variant.chip,
            precision=one.variant.precision,
            images=images,
            ap=one.accuracy and one.accuracy.ap,
            ap50=one.accuracy and one.accuracy.ap50,
            heads={far.head: Far(cosine=far.cosine) for far in one.distances},
            remark="from the release record, which holds no more",
        )
        found.setdefault(name, row)
    return list(found.values())


def simulations(record: ReleaseRecord, measurements: Measurements | None) -> dict[Variant, Simulation]:
    """Collect what the simulator gave: from the measurements, and where they are older, from the record."""
    found = {one.variant: simulation for one in record.variants if (simulation := _of_variant(one)) is not None}
    return found | ({} if measurements is None else {one.variant: one for one in measurements.simulated})


def in_simulator(variant: Variant, simulation: Simulation | None, interpreted: Row | None) -> Row:
    """Make the row of a bmodel in the simulator.

    Where it is equal to the interpreter bit by bit, its accuracy is the interpreter's; else none is claimed.

    Args:
        variant: The bmodel.
        simulation: What the simulator gave; None where it was not run.
        interpreted: Its chip and precision in the interpreter; None where that was not measured.
    """
    row = Row(
        rung=f"{variant.chip} {variant.precision} in the simulator ({short(variant)})",
        kind="simulator",
        chip=variant.chip,
        precision=variant.precision,
    )
    if simulation is None:
        return row.model_copy(update={"measured": False, "remark": NOT_MEASURED})
    images, far = counted(simulation.images), _heads(simulation.distances)
    seen = {"images": simulation.images, "heads": far, "distance_images": simulation.images if far else None}
    if not simulation.identical:
        remark = f"largest difference to the interpreter {simulation.max_abs:.2g} over {images}; no AP is claimed"
        return row.model_copy(update={**seen, "remark": remark})
    figures = {} if interpreted is None else {name: getattr(interpreted, name) for name in FIGURES}
    remark = f"identical on {images}" + (
        ", so that the AP is the interpreter's" if figures.get("ap") is not None else ""
    )
    return row.model_copy(update={**seen, **figures, "remark": remark})


FIGURES = ("ap", "ap50", "ap75", "by_size", "by_class")


def missing(rung: str, kind: Kind, why: str = NOT_MEASURED, **known: str | None) -> Row:
    """Make the row of a rung that was not measured."""
    return Row.model_validate({"rung": rung, "kind": kind, "measured": False, "remark": why, **known})


def _of_rung(rung: Rung) -> Row:
    figures, loss = rung.figures, rung.loss
    return Row(
        rung=rung.name,
        kind="network" if rung.chip is None else "interpreter",
        chip=rung.chip,
        precision=rung.precision,
        images=rung.images,
        ap=figures and figures.ap,
        ap50=figures and figures.ap50,
        ap75=figures and figures.ap75,
        by_size={} if figures is None else figures.by_size,
        by_class={} if figures is None else figures.by_class,
        bounds=None if loss is None else (loss.low, loss.high),
        heads=_heads(rung.distances),
        distance_images=rung.distance_images,
    )


def _of_variant(one: VariantRecord) -> Simulation | None:
    if one.simulator is None:
        return None
    seen = one.simulator
    return Simulation(variant=one.variant, images=seen.images, identical=seen.identical, max_abs=seen.max_abs)


def _heads(distances: Mapping[str, Distance]) -> dict[str, Far]:
    return {head: Far(cosine=far.cosine, snr_db=far.snr_db) for head, far in distances.items()}
