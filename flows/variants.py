"""The part of a build that is done once a variant: lower, compile, measure, simulate, and what a device compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prefect.futures import PrefectFuture

from artifacts.release import Variant
from artifacts.store import Blob
from settings.model import Settings
from tasks.compile import compile_variant, lower
from tasks.golden import golden_files, golden_images, golden_values
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

    def golden_files(self, settings: Settings, workspace: Workspace) -> dict[str, Blob]:
        """Join what the rungs give for the golden inputs to the files that a release carries."""
        runs = [self.golden[rung].result() for rung in sorted(self.golden)]
        return golden_files(self.scenes, runs, settings.simulator, settings.quantize, workspace.content)


def submit_variants(
    settings: Settings,
    models: Mapping[int, PrefectFuture[TopModel]],
    table: PrefectFuture[CalibrationTable] | None,
    traced: Traced,
    reference: PrefectFuture[Measured],
    images: ImageSet,
    compiler: Toolchain,
    workspace: Workspace,
) -> Variants:
    """Submit the work of every variant of the matrix.

    Args:
        settings: What to build, and how.
        models: The network in the compiler's form, by batch size; batch 1 is always there.
        table: Ranges, for int8.
        traced: The TorchScript.
        reference: What was measured of it.
        images: The evaluation set.
        compiler: The toolchain.
        workspace: Where bytes are kept.

    Returns:
        The futures.
    """
    spec = settings.preprocess.spec()
    submitted = Variants(scenes=golden_images(spec, workspace))
    driving, judging, simulator = settings.toolchain.driving, settings.evaluation.judging, settings.simulator
    limits = driving.timeouts
    for wave in waves(settings.variants()):
        for variant in wave:
            ranges = table if variant.precision == "int8" else None
            job = (ranges, settings.quantize, compiler, driving, workspace)
            rung = Variant(chip=variant.chip, precision=variant.precision, batch=1)
            if rung not in submitted.lowered:
                submitted.lowered[rung] = lower.submit(rung, models[1], *job)
            options = tuned(variant) if settings.toolchain.tuned else ()
            own_spec = spec if variant.io == "raw" else None
            submitted.compiled[variant] = compile_variant.submit(
                variant, models[variant.batch], *job, options, own_spec
            )
            if rung not in submitted.measured:
                lowered = submitted.lowered[rung]
                submitted.measured[rung] = evaluate.submit(
                    lowered, traced, reference, images, spec, judging, limits, compiler, workspace
                )
                scenes = submitted.scenes
                submitted.golden[rung] = golden_values.submit(lowered, scenes, spec, limits, compiler, workspace)
                measured = submitted.measured[rung]
                submitted.losses[rung] = measure_loss.submit(measured, reference, images, judging, workspace)
        for variant in wave:
            if simulator.skips(variant):
                continue
            measured = submitted.measured[Variant(chip=variant.chip, precision=variant.precision, batch=1)]
            submitted.simulated[variant] = simulate.submit(
                submitted.compiled[variant], measured, images, spec, simulator.images, limits, compiler, workspace
            )
    return submitted


def waves(variants: Iterable[Variant]) -> tuple[list[Variant], list[Variant]]:
    """Split the variants into those which wait for nothing and those which wait for the calibration.

    A task that waits for another one holds its worker meanwhile, so what waits for much is submitted late: int8 after
    the rest, and in either wave the simulator after everything that it is compared with.
    """
    ordered = sorted(variants)
    return [one for one in ordered if one.precision != "int8"], [one for one in ordered if one.precision == "int8"]
