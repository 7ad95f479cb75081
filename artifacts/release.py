"""The release record: what a published set of bmodels is, how it was made and how good it is."""

from __future__ import annotations

from typing import Optional, Tuple

from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Literal

from artifacts.bmodel import TensorInfo
from artifacts.errors import BadRecord
from artifacts.schema import problems, read_versioned
from artifacts.store import Blob, Digest
from artifacts.variant import CHIPS, PRECISIONS, Record, Variant

SCHEMA_VERSION = "1.0"
MAX_RECORD_BYTES = 16 << 20

__all__ = [
    "CHIPS",
    "PRECISIONS",
    "SCHEMA_VERSION",
    "Accuracy",
    "Blob",
    "Calibration",
    "GateOutcome",
    "HeadDistance",
    "PreprocessSpec",
    "Protocol",
    "Provenance",
    "Record",
    "ReleaseRecord",
    "SimulatorEvidence",
    "TensorInfo",
    "Toolchain",
    "Variant",
    "VariantRecord",
]


class PreprocessSpec(Record):
    """How an image becomes the input tensor; read by the calibrator, the simulator, the reference and the device.

    The defaults are CenterNet's own at 512 x 512 (Zhou et al., "Objects as Points", and its ``opts.py``): the image is
    placed by an affine map about its centre, scaled to 0..1, and normalised channel by channel.
    """

    width: int = Field(default=512, ge=1, le=8192, description="input width, pixels")
    height: int = Field(default=512, ge=1, le=8192, description="input height, pixels")
    channel_order: Literal["BGR", "RGB"] = "BGR"
    letterbox: Literal["affine-centre"] = "affine-centre"
    scale: float = Field(default=1 / 255, gt=0, description="multiplies a pixel value before mean and std")
    mean: Tuple[float, float, float] = Field(default=(0.408, 0.447, 0.470), description="in channel order")
    std: Tuple[float, float, float] = Field(default=(0.289, 0.274, 0.278), description="in channel order")
    layout: Literal["NCHW"] = "NCHW"
    fused: bool = Field(default=False, description="the bmodel does scale, mean and std itself and takes raw uint8")

    @field_validator("std")
    @classmethod
    def _divisible(cls, value: Tuple[float, float, float]) -> Tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("every std must be greater than 0")
        return value

    @property
    def dtype(self) -> str:
        """Element type of the input tensor: ``uint8`` where the arithmetic is in the bmodel, else ``float32``."""
        return "uint8" if self.fused else "float32"

    def of(self, variant: Variant) -> PreprocessSpec:
        """Return the spec of one variant: a raw one does the arithmetic itself."""
        return self.model_copy(update={"fused": True}) if variant.io == "raw" else self


class Protocol(Record):
    """How accuracy was measured; numbers from two protocols are never compared."""

    name: str
    dataset_digest: Digest
    images: int = Field(ge=1)
    score_floor: float = Field(ge=0, le=1, description="detections below it do not count")
    top_k: int = Field(ge=1, description="detections kept of each image")
    metric: str = Field(description="for example COCO bbox AP@[.50:.95]")


class Accuracy(Record):
    """Average precision under the release's protocol, 0 to 1."""

    ap: float = Field(ge=0, le=1, description="mean over IoU 0.50 to 0.95")
    ap50: float = Field(ge=0, le=1, description="at IoU 0.50")


class HeadDistance(Record):
    """How far one head of the output is from the reference's; never the whole output, which hides a dead small head."""

    head: str
    cosine: Optional[float] = Field(default=None, description="None where one of the two is all zero")
    max_abs: float = Field(ge=0, description="largest absolute difference, in the head's own unit")
    mean_abs: Optional[float] = Field(default=None, ge=0)


class SimulatorEvidence(Record):
    """What running the very bmodel in the vendor's simulator showed against the interpreter's output."""

    images: int = Field(ge=1)
    identical: bool = Field(description="equal bit for bit")
    max_abs: float = Field(default=0.0, ge=0, description="largest absolute difference")
    tolerance: float = Field(default=0.0, ge=0, description="what was allowed; 0 asks for equality")


class GateOutcome(Record):
    """Whether the variant may be published."""

    passed: bool
    reasons: Tuple[str, ...] = Field(default=(), description="why not; empty when passed")


class Quantization(Record):
    """How an int8 bmodel was made."""

    method: str = Field(description="how ranges were derived from the calibration images")
    table_digest: Digest = Field(description="of the calibration table")
    float_layers: Tuple[str, ...] = Field(default=(), description="the compiler's names of what stays in float")


class VariantRecord(Record):
    """One bmodel of a release and what is known about it."""

    variant: Variant
    blob: Blob
    content_digest: Digest = Field(description="digest without time stamp: equal for two builds of the same thing")
    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]
    device_memory: int = Field(ge=0, description="bytes")
    estimated_ms: Optional[float] = Field(default=None, ge=0, description="the compiler's estimate for one batch")
    accuracy: Optional[Accuracy] = None
    distances: Tuple[HeadDistance, ...] = Field(default=(), description="to the traced network in float32")
    simulator: Optional[SimulatorEvidence] = None
    gate: Optional[GateOutcome] = None
    quantization: Optional[Quantization] = Field(default=None, description="None in float, and in older records")
    matching_scores: Tuple[Tuple[float, float], ...] = Field(
        default=(),
        description="scores of fp32, each with the score at which this model finds as many objects; rising",
    )

    @field_validator("matching_scores")
    @classmethod
    def _rising(cls, value: Tuple[Tuple[float, float], ...]) -> Tuple[Tuple[float, float], ...]:
        for side in zip(*value):
            if list(side) != sorted(side) or not 0 <= side[0] <= side[-1] <= 1:
                raise ValueError("scores lie between 0 and 1 and rise")
        return value


class Calibration(Record):
    """Where the int8 ranges come from."""

    manifest: Blob = Field(description="the curated set: names, digests, reasons")
    count: int = Field(ge=1, description="images used")
    method: str
    table_digest: Digest


class Toolchain(Record):
    """The compiler that made the bmodels."""

    name: str
    version: str
    fingerprint: str = Field(description="covers version and package set")


class Provenance(Record):
    """What went in and what was run."""

    weights_digest: Digest
    toolchain: Toolchain
    commands: Tuple[Tuple[str, ...], ...] = Field(default=(), description="argument lists, without scratch paths")


class ReleaseRecord(Record):
    """One release: everything that a device or a reader needs to know, without a time or a path inside."""

    schema_version: str = SCHEMA_VERSION
    name: str = Field(min_length=1)
    version: str = Field(min_length=1, max_length=100)
    class_names: Tuple[str, ...] = Field(min_length=1)
    stride: int = Field(default=4, ge=1, description="input pixels for one step of the output grid")
    network: str
    preprocess: PreprocessSpec
    protocol: Optional[Protocol] = Field(default=None, description="None where no accuracy was measured")
    variants: Tuple[VariantRecord, ...] = Field(min_length=1, description="sorted, each variant once")
    calibration: Optional[Calibration] = Field(default=None, description="None without int8 variants")
    provenance: Provenance
    demonstration: bool = Field(default=False, description="shows the pipeline; not a model for use")

    @field_validator("variants")
    @classmethod
    def _sorted_once(cls, value: Tuple[VariantRecord, ...]) -> Tuple[VariantRecord, ...]:
        ordered = tuple(sorted(value, key=lambda item: item.variant))
        paths = [item.variant.path for item in ordered]
        for path in set(paths):
            if paths.count(path) > 1:
                raise ValueError(f"{path} occurs more than once")
        return ordered

    @model_validator(mode="after")
    def _consistent(self) -> ReleaseRecord:
        if self.calibration is None and any(item.variant.precision == "int8" for item in self.variants):
            raise ValueError("there are int8 variants but no calibration")
        if self.protocol is None and any(item.accuracy is not None for item in self.variants):
            raise ValueError("there are accuracies but no protocol that they were measured by")
        return self

    @property
    def chips(self) -> Tuple[str, ...]:
        """The chips that the release has files for, in the order of CHIPS."""
        return tuple(chip for chip in CHIPS if any(item.variant.chip == chip for item in self.variants))

    @classmethod
    def from_json(cls, data: bytes) -> ReleaseRecord:
        """Read a record.

        Args:
            data: UTF-8 JSON. Unknown fields of a newer minor schema are ignored.

        Raises:
            NewerSchema: Its schema has a newer major number than this program understands.
            BadRecord: It is no JSON, too large, or a field is missing or wrong.
        """
        try:
            return cls.model_validate(read_versioned(data, SCHEMA_VERSION, MAX_RECORD_BYTES))
        except ValidationError as error:
            raise BadRecord(problems(error)) from error
