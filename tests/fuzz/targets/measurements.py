"""`artifacts.measurements.Measurements`: the loss ladder in full."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.errors import ReleaseError
from artifacts.measurements import Distance, Figures, Loss, Measurements, Rung, Simulation
from tests.artifacts.releases import VARIANTS

JSON = True


def target(data: bytes) -> None:
    """Read measurements; what is accepted is written and read back."""
    try:
        read = Measurements.from_json(data)
    except ReleaseError:
        return
    assert Measurements.from_json(read.to_json()) == read


def seeds() -> Iterator[bytes]:
    """A short ladder, and one model in the simulator."""
    distances = {"heatmap": Distance(cosine=0.999, snr_db=35.5, max_abs=0.5)}
    figures = Figures(ap=0.36, ap50=0.5, by_size={"small": None, "large": 0.5}, by_class={"person": 0.4})
    rungs = (
        Rung(name="PyTorch", images=64, figures=figures),
        Rung(
            name="BM1684X int8",
            chip="BM1684X",
            precision="int8",
            images=64,
            figures=figures,
            loss=Loss(drop=0.001, low=-0.001, high=0.003, images=64),
            distances=distances,
            distance_images=8,
        ),
    )
    simulated = (Simulation(variant=VARIANTS[0], images=2, identical=False, max_abs=0.5, distances=distances),)
    yield Measurements(rungs=rungs, simulated=simulated).to_json()
