"""The part of a build that is done once a variant: lower, compile, measure, simulate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prefect.futures import PrefectFuture

from artifacts.release import Variant
from settings.model import Settings
from tasks.compile import compile_variant, lower
from tasks.records import CalibrationTable, Compiled, ImageSet, Lowered, Measured, Simulated, TopModel, Traced
from tasks.simulate import simulate
from tasks.toolchain.model import Toolchain
from tasks.validate import evaluate
from tasks.workspace import Workspace


@dataclass
class Variants:
    """What was submitted; a rung is a variant with batch 1 on one core.

    Attributes:
        compiled: By variant.
        simulated: By variant.
        lowered: By rung.
        measured: By rung.
    """

    compiled: dict[Variant, PrefectFuture[Compiled]] = field(default_factory=dict)
    simulated: dict[Variant, PrefectFuture[Simulated]] = field(default_factory=dict)
    lowered: dict[Variant, PrefectFuture[Lowered]] = field(default_factory=dict)
    measured: dict[Variant, PrefectFuture[Measured]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[PrefectFuture[object]]:
        """All futures."""
        for group in (self.lowered, self.compiled, self.measured, self.simulated):
            yield from group.values()  # type: ignore[misc]


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
    submitted, spec = Variants(), settings.preprocess.spec()
    driving, judging, simulator = settings.toolchain.driving, settings.evaluation.judging, settings.simulator
    limits = driving.timeouts
    for variant in float_first(settings.variants()):
        ranges = table if variant.precision == "int8" else None
        job = (ranges, settings.quantize, compiler, driving, workspace)
        rung = Variant(chip=variant.chip, precision=variant.precision, batch=1)
        compiled = compile_variant.submit(variant, models[variant.batch], *job)
        if rung not in submitted.measured:
            lowered = lower.submit(rung, models[1], *job)
            submitted.lowered[rung] = lowered
            submitted.measured[rung] = evaluate.submit(
                lowered, traced, reference, images, spec, judging, limits, compiler, workspace
            )
        count = 0 if simulator.skips(variant) else simulator.images
        measured = submitted.measured[rung]
        submitted.compiled[variant] = compiled
        submitted.simulated[variant] = simulate.submit(
            compiled, measured, images, spec, count, limits, compiler, workspace
        )
    return submitted


def float_first(variants: Iterable[Variant]) -> list[Variant]:
    """Order variants so that those which wait for nothing come before those which wait for the calibration."""
    return sorted(variants, key=lambda variant: (variant.precision == "int8", variant))
