"""The loss ladder as a file of a release."""

from __future__ import annotations

import json

import pytest

from artifacts.errors import BadRecord, NewerSchema
from artifacts.measurements import Distance, Figures, Measurements, Rung, Simulation
from artifacts.variant import Variant

LADDER = Measurements(
    rungs=(
        Rung(name="PyTorch", images=2, figures=Figures(ap=0.5)),
        Rung(
            name="BM1688 int8",
            chip="BM1688",
            precision="int8",
            images=2,
            figures=Figures(ap=0.4, by_size={"small": None, "large": 0.4}, by_class={"dog": 0.4}),
            distances={"size": Distance(cosine=0.99, snr_db=20.0, max_abs=1.5)},
            distance_images=2,
        ),
    ),
    simulated=(
        Simulation(
            variant=Variant(chip="BM1688", precision="int8", batch=4, cores=2),
            images=4,
            identical=False,
            max_abs=0.01,
            distances={"size": Distance(cosine=1.0, snr_db=90.0, max_abs=0.01)},
        ),
    ),
)

OLDER = b"""{"rungs": [{"name": "BM1688 int8", "chip": "BM1688", "precision": "int8", "images": 2,
 "figures": {"ap": 0.4}, "distances": {"size": {"cosine": 0.99, "snr_db": 20.0, "max_abs": 1.5}}}],
 "schema_version": "1.0"}"""


def test_what_is_written_is_read_again_byte_for_byte() -> None:
    assert Measurements.from_json(LADDER.to_json()) == LADDER
    assert Measurements.from_json(LADDER.to_json()).to_json() == LADDER.to_json()


@pytest.mark.parametrize("cut", [b"", b"[]", LADDER.to_json()[:-9], LADDER.to_json().replace(b'"ap":0.4', b'"ap":4')])
def test_what_is_no_ladder_is_refused(cut: bytes) -> None:
    with pytest.raises(BadRecord):
        Measurements.from_json(cut)


def test_a_rung_that_occurs_twice_is_refused() -> None:
    twice = {**json.loads(LADDER.to_json()), "rungs": [json.loads(LADDER.rungs[0].to_json())] * 2}
    with pytest.raises(BadRecord, match="more than once"):
        Measurements.from_json(json.dumps(twice).encode())


def test_a_bmodel_that_was_simulated_twice_is_refused() -> None:
    twice = {**json.loads(LADDER.to_json()), "simulated": [json.loads(LADDER.simulated[0].to_json())] * 2}
    with pytest.raises(BadRecord, match="more than once in the simulator"):
        Measurements.from_json(json.dumps(twice).encode())


def test_a_ladder_from_before_the_simulator_was_in_it_is_read() -> None:
    older = Measurements.from_json(OLDER)
    assert older.simulated == () and older.rungs[0].distance_images is None
    assert older.rungs[0].distances["size"].snr_db == 20.0


def test_fields_of_a_newer_minor_schema_are_ignored() -> None:
    newer = {**json.loads(LADDER.to_json()), "schema_version": "1.9", "of_the_future": [1]}
    assert Measurements.from_json(json.dumps(newer).encode()).rungs == LADDER.rungs


def test_a_ladder_of_a_newer_generation_is_not_guessed_at() -> None:
    with pytest.raises(NewerSchema):
        Measurements.from_json(LADDER.to_json().replace(b'"schema_version":"1.1"', b'"schema_version":"2.0"'))
