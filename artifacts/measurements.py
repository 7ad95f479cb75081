"""Everything that was measured of a release's models: the loss ladder in full, for comparing one release with another.

The release record holds what a device needs; this goes beside it, as a file of the release.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from pydantic import Field, ValidationError, model_validator

from artifacts.errors import BadRecord
from artifacts.schema import problems, read_versioned
from artifacts.variant import Chip, Precision, Record, Variant

MEASUREMENTS_TITLE = "measurements.json"
MEASUREMENTS_VERSION = "1.1"
MAX_MEASUREMENTS_BYTES = 8 << 20


class Figures(Record):
    """Average precision under the release's protocol, each 0 to 1, None where nothing of the kind is annotated."""

    ap: float = Field(ge=0, le=1, description="mean over IoU 0.50 to 0.95")
    ap50: Optional[float] = Field(default=None, ge=0, le=1, description="at IoU 0.50")
    ap75: Optional[float] = Field(default=None, ge=0, le=1, description="at IoU 0.75")
    by_size: Dict[str, Optional[float]] = Field(default_factory=dict, description="small, medium, large objects")
    by_class: Dict[str, Optional[float]] = Field(default_factory=dict, description="by the class's name")


class Distance(Record):
    """How far one head of the output is from the traced network's, over all images together."""

    cosine: float = Field(description="cosine similarity")
    snr_db: float = Field(description="signal to noise, decibel; 200 where there is no noise")
    max_abs: float = Field(ge=0, description="largest absolute difference, in the head's own unit")


class Loss(Record):
    """How much AP is lost against the traced network on the same images, by a paired bootstrap over them."""

    drop: float = Field(description="on these images, AP 0 to 1; negative where it gains")
    low: float = Field(description="with 95 % confidence it is not less")
    high: float = Field(description="with 95 % confidence it is not more")
    images: int = Field(ge=1)


class Rung(Record):
    """One rung of the loss ladder.

    Attributes:
        name: `PyTorch`, `TorchScript`, or chip and precision.
        chip: None for the network before it was compiled.
        precision: None for the network before it was compiled.
        images: How many were evaluated.
        figures: None where the weights are a stand-in.
        loss: None for the network before it was compiled, where the weights are a stand-in, and in older files.
        distances: By head, against the TorchScript; empty for the reference itself.
        distance_images: How many images the distances are over; None in older files.
    """

    name: str
    chip: Optional[Chip] = None
    precision: Optional[Precision] = None
    images: int = Field(ge=0)
    figures: Optional[Figures] = None
    loss: Optional[Loss] = None
    distances: Dict[str, Distance] = Field(default_factory=dict)
    distance_images: Optional[int] = Field(default=None, ge=0)


class Simulation(Record):
    """The very bmodel in the vendor's simulator, beside the interpreter's output for its chip and precision.

    Attributes:
        variant: What was run.
        images: How many.
        identical: Whether every value was equal bit by bit.
        max_abs: Largest absolute difference to the interpreter's head tensor.
        distances: By head, against the interpreter on these images.
    """

    variant: Variant
    images: int = Field(ge=1)
    identical: bool
    max_abs: float = Field(ge=0)
    distances: Dict[str, Distance] = Field(default_factory=dict)


class Measurements(Record):
    """The loss ladder, from the network in PyTorch to every chip and precision, and each bmodel in the simulator."""

    schema_version: str = MEASUREMENTS_VERSION
    rungs: Tuple[Rung, ...] = Field(min_length=1)
    simulated: Tuple[Simulation, ...] = Field(
        default=(), description="since 1.1; what the simulator gave before that is in the release record alone"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Measurements:
        names = [rung.name for rung in self.rungs]
        if len(set(names)) != len(names):
            raise ValueError("a rung occurs more than once")
        variants = [one.variant for one in self.simulated]
        if len(set(variants)) != len(variants):
            raise ValueError("a bmodel occurs more than once in the simulator")
        return self

    @classmethod
    def from_json(cls, data: bytes) -> Measurements:
        """Read them.

        Args:
            data: UTF-8 JSON. Unknown fields of a newer minor schema are ignored.

        Raises:
            NewerSchema: The schema has a newer major number than this program understands.
            BadRecord: It is no JSON, too large, or a field is missing or wrong.
        """
        try:
            return cls.model_validate(read_versioned(data, MEASUREMENTS_VERSION, MAX_MEASUREMENTS_BYTES))
        except ValidationError as error:
            raise BadRecord(problems(error)) from error
