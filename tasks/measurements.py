"""The loss ladder as a release carries it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from artifacts.measurements import Distance, Figures, Loss, Measurements, Rung, Simulation
from tasks.publish import Results
from tasks.records import HeadDistance, Measured, Simulated


def measurements(results: Results) -> Measurements:
    """Write down every rung of a build.

    Args:
        results: What the build found out.

    Returns:
        The rungs, PyTorch and TorchScript first, and what the simulator gave; equal builds give equal ones.
    """
    return Measurements(
        rungs=tuple(_rung(one, results.loss(one)) for one in (results.network, results.reference, *results.measured)),
        simulated=tuple(map(_simulation, sorted(results.simulated, key=lambda one: one.variant))),
    )


def _rung(measured: Measured, loss: Loss | None) -> Rung:
    variant = measured.variant
    return Rung(
        name=measured.rung,
        chip=None if variant is None else variant.chip,
        precision=None if variant is None else variant.precision,
        images=measured.images,
        figures=_figures(measured),
        loss=loss,
        distances=_distances(measured.distances),
        distance_images=measured.distance_images,
    )


def _simulation(simulated: Simulated) -> Simulation:
    return Simulation(
        variant=simulated.variant,
        images=simulated.images,
        identical=simulated.identical,
        max_abs=simulated.max_abs,
        distances=_distances(simulated.distances),
    )


def _distances(found: Mapping[str, HeadDistance]) -> dict[str, Distance]:
    return {head: Distance(**far.model_dump()) for head, far in found.items()}


def _figures(measured: Measured) -> Figures | None:
    if measured.ap is None:
        return None
    return Figures(
        ap=measured.ap,
        ap50=measured.ap50,
        ap75=measured.ap75,
        by_size=measured.by_size,
        by_class=measured.by_class,
    )
