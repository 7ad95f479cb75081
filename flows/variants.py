"""The part of a build that is done once a variant: lower, compile, measure, simulate, and what a device compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from prefect.futures import PrefectFuture

from artifacts.release import Variant
from artifacts.store import Blob
from settings.model import Settings
from settings.quantize import Recipe
from tasks.attempts import NO_LABEL, Label
from tasks.compile import compile_variant, lower
from tasks.golden import golden_files, golden_values
from tasks.judgement import MeasuredLoss
from tasks.loss import measure_loss
from tasks.records import (
    CalibrationTable,
    Compiled,
    GoldenValues,
    ImageSet,
    Lowered,
    Measured,
    Simulated,
    TopModel,
    Traced,
)
from tasks.simulate import simulate
from tasks.toolchain.model import Toolchain
from tasks.toolchain.tuning import tuned
from tasks.validate import evaluate
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Ground:
    """What every variant stands upon.

    Attributes:
        settings: What to build, and how.
        models: The network in the compiler's form, by batch size; batch 1 is always there.
        traced: The TorchScript.
        reference: What was measured of it.
        images: The evaluation set.
        compiler: The toolchain.
        workspace: Where bytes are kept.
    """

    settings: Settings
    models: Mapping[int, PrefectFuture[TopModel]]
    traced: Traced
    reference: PrefectFuture[Measured]
    images: ImageSet
    compiler: Toolchain
    workspace: Workspace


class Int8(NamedTuple):
    """How int8 is made.

    Attributes:
        table: Ranges; None where nothing is int8.
        recipe: What stays in float.
        attempt: What this way is called.
    """

    table: PrefectFuture[CalibrationTable] | None
    recipe: Recipe
    attempt: Label


_FLOAT = (None, None, NO_LABEL)


@dataclass
class Variants:
    """What was submitted; a rung is a variant with batch 1 on one core, in float: the others give the same.

    Attributes:
        scenes: The golden inputs.
        compiled: By variant.
        simulated: By variant; those that the settings leave out are not here.
        lowered: By rung.
        measured: By rung.
        losses: By rung.
        golden: By rung.
    """

    scenes: ImageSet
    compiled: dict[Variant, PrefectFuture[Compiled]] = field(default_factory=dict)
    simulated: dict[Variant, PrefectFuture[Simulated]] = field(default_factory=dict)
    lowered: dict[Variant, PrefectFuture[Lowered]] = field(default_factory=dict)
    measured: dict[Variant, PrefectFuture[Measured]] = field(default_factory=dict)
    losses: dict[Variant, PrefectFuture[MeasuredLoss]] = field(default_factory=dict)
    golden: dict[Variant, PrefectFuture[GoldenValues]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[PrefectFuture[object]]:
        """All futures."""
        for group in (self.lowered, self.compiled, self.measured, self.losses, self.simulated, self.golden):
            yield from group.values()  # type: ignore[misc]

    def drop(self, rung: Variant) -> None:
        """Take out what was submitted of a chip and precision, so that it can be made another way."""
        for group in (self.lowered, self.compiled, self.measured, self.losses, self.simulated, self.golden):
            of_rung = [one for one in group if (one.chip, one.precision) == (rung.chip, rung.precision)]
            for variant in of_rung:
                del group[variant]

    def golden_files(self, settings: Settings, workspace: Workspace) -> dict[str, Blob]:
        """Join what the rungs give for the golden inputs to the files that a release carries."""
        runs = [self.golden[rung].result() for rung in sorted(self.golden)]
        return golden_files(self.scenes, runs, settings.simulator, workspace.content)


def submit_variants(ground: Ground, int8: Int8, variants: Iterable[Variant], submitted: Variants) -> None:
    """Submit the work of some variants of the matrix.

    Args:
        ground: What all of them stand upon.
        int8: How int8 is made.
        variants: Which.
        submitted: Where their futures go.
    """
    settings, compiler, workspace, images = ground.settings, ground.compiler, ground.workspace, ground.images
    spec, simulator = settings.preprocess.spec(), settings.simulator
    driving, judging = settings.toolchain.driving, settings.evaluation.judging
    limits = driving.timeouts
    for wave in waves(variants):
        for variant in wave:
            table, recipe, attempt = int8 if variant.precision == "int8" else _FLOAT
            job = (table, recipe, compiler, driving, workspace)
            rung = rung_of(variant)
            if rung not in submitted.lowered:
                submitted.lowered[rung] = lower.submit(rung, ground.models[1], *job, attempt)
            submitted.compiled[variant] = submit_compile(ground, variant, int8)
            if rung not in submitted.measured:
                lowered, scenes = submitted.lowered[rung], submitted.scenes
                submitted.measured[rung] = evaluate.submit(
                    *(lowered, ground.traced, ground.reference, images, spec, judging),
                    *(limits, compiler, workspace, attempt),
                )
                submitted.golden[rung] = golden_values.submit(
                    lowered, scenes, spec, limits, compiler, workspace, attempt
                )
                submitted.losses[rung] = measure_loss.submit(
                    submitted.measured[rung], ground.reference, images, judging, workspace, attempt
                )
        for variant in wave:
            if simulator.skips(variant):
                continue
            made, measured = submitted.compiled[variant], submitted.measured[rung_of(variant)]
            attempt = int8.attempt if variant.precision == "int8" else NO_LABEL
            submitted.simulated[variant] = simulate.submit(
                made, measured, images, spec, simulator.images, limits, compiler, workspace, attempt
            )


def submit_compile(ground: Ground, variant: Variant, int8: Int8) -> PrefectFuture[Compiled]:
    """Submit the compile of one variant; the same that was submitted before is found in the store.

    Args:
        ground: What it stands upon.
        variant: Which.
        int8: How int8 is made.
    """
    settings = ground.settings
    table, recipe, attempt = int8 if variant.precision == "int8" else _FLOAT
    options = tuned(variant) if settings.toolchain.tuned else ()
    spec = settings.preprocess.spec() if variant.io == "raw" else None
    model, driving = ground.models[variant.batch], settings.toolchain.driving
    job = (variant, model, table, recipe, ground.compiler, driving, ground.workspace)
    return compile_variant.submit(*job, options, spec, attempt)


def rung_of(variant: Variant) -> Variant:
    """The rung of the loss ladder that a variant is on: batch, cores and kind of input give the same numbers."""
    return Variant(chip=variant.chip, precision=variant.precision, batch=1)


def waves(variants: Iterable[Variant]) -> tuple[list[Variant], list[Variant]]:
    """Split the variants into those which wait for nothing and those which wait for the calibration.

    A task that waits for another one holds its worker meanwhile, so what waits for much is submitted late: int8 after
    the rest, and in either wave the simulator after everything that it is compared with.
    """
    ordered = sorted(variants)
    return [one for one in ordered if one.precision != "int8"], [one for one in ordered if one.precision == "int8"]
