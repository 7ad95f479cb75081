"""Golden outputs: what each model of a release gives for a few images that go with it.

A device runs the images through its own preprocessing and its own engine before it puts a release to use. The values
are the compiler's interpreter's; the tolerance is what the simulator was allowed against the same interpreter.
"""

from __future__ import annotations

from typing import Optional, Tuple

from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Literal

from artifacts.errors import BadRecord, LayoutError
from artifacts.oci import check_title
from artifacts.schema import problems, read_versioned
from artifacts.store import Blob
from artifacts.variant import Chip, Precision, Record, Variant

GOLDEN_TITLE = "golden.json"
GOLDEN_FOLDER = "golden"
GOLDEN_VERSION = "1.0"
MAX_GOLDEN_BYTES = 8 << 20

Head = Literal["heatmap", "size", "offset"]


class GoldenImage(Record):
    """An input."""

    title: str = Field(description="its path in the release")
    blob: Blob

    @field_validator("title")
    @classmethod
    def _inside(cls, value: str) -> str:
        try:
            return check_title(value)
        except LayoutError as error:
            raise ValueError(str(error)) from error


class GoldenHead(Record):
    """Expected values of one head for one image."""

    head: Head
    positions: Tuple[int, ...] = Field(description="in the head tensor [C + 4, h, w] of one image, row-major")
    values: Tuple[float, ...] = Field(description="at these positions, in the head's own unit")

    @model_validator(mode="after")
    def _paired(self) -> GoldenHead:
        if not self.positions or len(self.positions) != len(self.values) or min(self.positions) < 0:
            raise ValueError(f"{len(self.positions)} positions and {len(self.values)} values do not go together")
        return self


class GoldenOutput(Record):
    """What one chip and precision gives, whatever the batch and the cores."""

    chip: Chip
    precision: Precision
    tolerance: float = Field(ge=0, description="largest absolute difference; 0 asks for equality")
    images: Tuple[Tuple[GoldenHead, ...], ...] = Field(min_length=1, description="for each image, in their order")


class Golden(Record):
    """A release's golden inputs and outputs."""

    schema_version: str = GOLDEN_VERSION
    shape: Tuple[int, int, int] = Field(description="of the head tensor of one image: C + 4, h, w")
    images: Tuple[GoldenImage, ...] = Field(min_length=1)
    outputs: Tuple[GoldenOutput, ...]

    @field_validator("shape")
    @classmethod
    def _positive(cls, value: Tuple[int, int, int]) -> Tuple[int, int, int]:
        if min(value) < 1:
            raise ValueError(f"{list(value)} is no shape")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Golden:
        size = self.shape[0] * self.shape[1] * self.shape[2]
        for output in self.outputs:
            if len(output.images) != len(self.images):
                raise ValueError(f"{output.chip} {output.precision} has values for {len(output.images)} images")
            for head in (head for heads in output.images for head in heads):
                if max(head.positions) >= size:
                    raise ValueError(f"a position lies outside a head tensor of {list(self.shape)}")
        return self

    def output_of(self, variant: Variant) -> Optional[GoldenOutput]:
        """Return what a variant has to give, None where the release does not say."""
        wanted = (variant.chip, variant.precision)
        return next((one for one in self.outputs if (one.chip, one.precision) == wanted), None)

    @classmethod
    def from_json(cls, data: bytes) -> Golden:
        """Read the record.

        Args:
            data: UTF-8 JSON. Unknown fields of a newer minor schema are ignored.

        Raises:
            NewerSchema: Its schema has a newer major number than this program understands.
            BadRecord: It is no JSON, too large, or a field is missing or wrong.
        """
        try:
            return cls.model_validate(read_versioned(data, GOLDEN_VERSION, MAX_GOLDEN_BYTES))
        except ValidationError as error:
            raise BadRecord(f"{GOLDEN_TITLE}: {problems(error)}") from error
