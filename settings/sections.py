"""The parts of the settings that a build reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from artifacts.protocols import Limits, limits
from artifacts.reference import parse_reference
from artifacts.release import PreprocessSpec
from settings.locations import LocalPath
from settings.nntc import NntcSettings
from settings.part import Fraction, Part, Seconds, Seed
from settings.quantize import Method
from settings.sources import GeneratedSource, ImageSource, LabelledSource


class NetworkSettings(Part):
    """The network that the weights belong to."""

    name: Literal["dlav0_34", "dla_34"] = Field(
        default="dlav0_34",
        description="architecture; dla_34 has deformable convolutions, which are more accurate and many times slower",
    )
    # The narrowest layers have 16 channels and every other count is a multiple of 16.
    width: float = Field(
        default=1.0, gt=0, le=1, multiple_of=1 / 16, description="factor on every channel count; 1 is the original"
    )
    num_classes: int = Field(default=80, ge=1, le=1000, description="classes, the channels of the heatmap")
    stride: Literal[4] = Field(default=4, description="input pixels per cell of the head tensor")


class PreprocessSettings(Part):
    """The input size; everything else about the input is CenterNet's own and not a setting."""

    width: int = Field(default=512, ge=64, le=2048, multiple_of=32, description="input width, pixels")
    height: int = Field(default=512, ge=64, le=2048, multiple_of=32, description="input height, pixels")

    def spec(self) -> PreprocessSpec:
        """The preprocess spec of the release.

        Returns:
            CenterNet's spec at this size.
        """
        return PreprocessSpec(width=self.width, height=self.height)


class Curation(Part):
    """How calibration images are chosen; what the curating step reads beside the images."""

    count: int = Field(default=200, ge=1, le=100_000, description="images in the curated set")
    seed: Seed = Field(default=0, description="seed of the choice")
    min_side: int = Field(default=64, ge=1, le=4096, description="shortest side of an acceptable image, pixels")
    near_duplicate_distance: int = Field(
        default=6,
        ge=0,
        le=64,
        description="images whose 64-bit perceptual hashes differ in this many bits or fewer are taken as one; bits",
    )


class CalibrationSettings(Curation):
    """The curated set and what the compiler makes of it."""

    source: ImageSource = Field(description="candidate images; none of them may be in the evaluation set")
    method: Method = Field(default="max", description="how the compiler derives a tensor's range from the samples")
    missing_classes: Literal["warn", "fail"] = Field(
        default="warn",
        description="when a class of the evaluation set is on no calibration image: warn, because ranges are derived "
        "from activations, the gate measures what it costs, and the rarest classes are seldom among a few hundred "
        "candidates; or fail",
    )

    @property
    def curation(self) -> Curation:
        """The choice of images alone, so that another method does not choose again."""
        return Curation(**{name: getattr(self, name) for name in Curation.model_fields})

    @field_validator("source")
    @classmethod
    def _enough_candidates(cls, source: ImageSource, info: ValidationInfo) -> ImageSource:
        count = info.data.get("count")
        offered = source.count if isinstance(source, GeneratedSource) else getattr(source, "candidates", None)
        if count is not None and offered is not None and offered < count:
            raise ValueError(f"offers {offered} candidates, fewer than calibration.count = {count}")
        return source


class ProtocolSettings(Part):
    """How accuracy is measured; numbers of two protocols are never compared."""

    name: Literal["coco", "sophon-demo"] = Field(
        default="coco",
        description="what is kept of the detections, as COCO's metric wants it or as the vendor states its models' AP; "
        "the metric of both is AP over IoU 0.50 to 0.95",
    )
    score_floor: Fraction | None = Field(
        default=None,
        description="detections below this score are left out; 0 to 1; none takes the protocol's own, 0.001 or, with "
        "sophon-demo, 0",
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="detections kept for an image, best first; none takes the protocol's own: 100, 75 with sophon-demo",
    )

    @property
    def limits(self) -> Limits:
        """The protocol with its numbers."""
        return limits(self.name, self.score_floor, self.top_k)


class Judging(Part):
    """What a step that measures accuracy reads beside the images."""

    protocol: Limits
    meaningful: bool


class EvaluationSettings(Part):
    """The images on which accuracy is measured."""

    source: LabelledSource = Field(description="images with annotations")
    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="only the first so many images by image id; none means all"
    )
    meaningful: bool = Field(
        default=True, description="false for stand-in weights: AP is then neither judged nor printed"
    )
    protocol: ProtocolSettings = Field(default=ProtocolSettings(), description="how accuracy is measured")

    @property
    def judging(self) -> Judging:
        """How accuracy is measured, without where the images come from."""
        return Judging(protocol=self.protocol.limits, meaningful=self.meaningful)


class TimeoutSettings(Part):
    """The longest time that a command of the toolchain may take; it is ended after that. Not part of any result."""

    provision: Seconds = Field(default=3600, description="installing the toolchain, seconds")
    transform: Seconds = Field(default=900, description="importing the network, seconds")
    calibrate: Seconds = Field(default=7200, description="deriving the calibration table, seconds")
    lower: Seconds = Field(default=900, description="lowering to a chip's dialect, seconds")
    deploy: Seconds = Field(default=3600, description="compiling one bmodel, seconds")
    interpret: Seconds = Field(default=300, description="one input through the interpreter, seconds")
    simulate: Seconds = Field(default=3600, description="one input through the simulator, seconds")


class Driving(Part):
    """What a step that runs the compiler reads of its settings; the release itself is named by its fingerprint."""

    omp_threads: int
    timeouts: TimeoutSettings


class ToolchainSettings(Part):
    """The compiler and how it is driven."""

    name: Literal["tpu-mlir", "tpu-nntc"] = Field(
        default="tpu-mlir",
        description="which compiler; bmodels of tpu-nntc are not measured and not published (docs/toolchains.md)",
    )
    version: str = Field(
        default="1.30.2",
        pattern=r"^[0-9]+(\.[0-9]+)*([a-z]+[0-9]+)?$",
        description="exact version of tpu-mlir's package",
        json_schema_extra={"allowed": "a version such as 1.30.2"},
    )
    # One thread makes the interpreter 10 to 70 times slower, and the count moves calibration in the sixth digit.
    omp_threads: int = Field(default=2, ge=2, le=64, description="OpenMP threads of one compiler process")
    tuned: bool = Field(
        default=False,
        description="give int8 the options that lower the compiler's estimate and, of networks they were tried on, "
        "change no number; of others it may make something wrong, which the gate's simulator finds",
    )
    python: LocalPath | None = Field(
        default=None, description="Python 3.10 to make the compiler's environment with; none means look for one"
    )
    timeouts: TimeoutSettings = Field(default=TimeoutSettings(), description="longest times")
    nntc: NntcSettings = Field(default=NntcSettings(), description="where tpu-nntc is, where name asks for it")

    @property
    def driving(self) -> Driving:
        """How the compiler is driven, without which release it is or what Python made its environment."""
        return Driving(omp_threads=self.omp_threads, timeouts=self.timeouts)


class ReleaseSettings(Part):
    """Where the result goes."""

    name: str = Field(
        default="centernet",
        max_length=64,
        pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$",
        description="name of the release",
        json_schema_extra={"allowed": "lower-case letters and digits, in groups joined by one of . _ -"},
    )
    version: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
        description="version tag; none publishes under the digest and the channels alone",
        json_schema_extra={"allowed": "up to 128 letters, digits and . _ -, not beginning with . or -"},
    )
    repository: LocalPath = Field(
        default=Path("build/registry/centernet"), description="folder of the OCI image layout that is published to"
    )
    folder: LocalPath = Field(default=Path("build/release"), description="folder that the release is laid out in")
    push: str | None = Field(
        default=None,
        description="repository on a registry server that the release is pushed to as well; none pushes nowhere",
        json_schema_extra={
            "allowed": "a server and a repository without a tag, such as registry.example.com/centernet"
        },
    )

    signing_key: LocalPath | None = Field(
        default=None,
        description="private key (PEM, mode 0600) that signs what is published and its channel; none signs nothing",
    )

    @field_validator("push")
    @classmethod
    def _is_repository(cls, value: str | None) -> str | None:
        if value is not None:
            reference = parse_reference(value)
            if reference.kind != "remote" or reference.home != value.lower():
                raise ValueError("is no repository on a server: give HOST[:PORT]/REPOSITORY without a tag")
        return value


class StoreSettings(Part):
    """The content store."""

    path: LocalPath = Field(default=Path("build/store"), description="folder of the content store")
