"""What travels between steps: small frozen records that name bytes by digest. The bytes lie in the content store."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from artifacts.bmodel import TensorInfo
from artifacts.release import Variant
from artifacts.store import Blob


class Record(BaseModel):
    """Base of the records.

    A field named `evidence` tells how a result came about (log, duration); it is carried along, but no cache key and no
    digest is made from it.
    """

    # NaN becomes null in JSON, and null means "not measured" in some of these: it must never get into a record.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Evidence(Record):
    """How a command of the toolchain went.

    Attributes:
        argv: The exact command line; file names are relative to its scratch folder.
        log: Both its streams.
        seconds: Wall time.
        tool: Name and version of the toolchain.
    """

    argv: tuple[str, ...]
    log: Blob
    seconds: float
    tool: str
    exit_status: int = 0


class Checkpoint(Record):
    """Weights as they were obtained; where from is no fact about them."""

    blob: Blob


class Traced(Record):
    """The network as TorchScript.

    Attributes:
        module: The traced module, batch 1.
        input_shape: [N, C, H, W].
        output_shape: [N, C, h, w].
        parameters: Number of parameters.
        max_difference: Largest absolute difference between the module and the eager network on the check inputs.
    """

    module: Blob
    input_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int, int, int]
    parameters: int
    max_difference: float


class StoredImage(Record):
    """An image of a set, with its name there."""

    name: str
    blob: Blob


class ImageSet(Record):
    """Images and, where they have any, their boxes as a COCO annotation file.

    Attributes:
        images: In order of their names.
        annotations: COCO JSON about exactly these images; of calibration candidates, about some of them.
    """

    images: tuple[StoredImage, ...]
    annotations: Blob | None


class CalibrationSet(Record):
    """The curated set.

    Attributes:
        images: In the order in which the calibrator gets them.
        manifest: Name, digest and reason of each, as JSON.
        contact_sheet: All of them in one picture.
    """

    images: tuple[StoredImage, ...]
    manifest: Blob
    contact_sheet: Blob


class TopModel(Record):
    """The network in the compiler's top-level form, for one batch size.

    Attributes:
        mlir: The module's text.
        weights: Its weight archive.
        weights_name: The name by which the module refers to the archive.
        input_name: Name of the one input.
        input_shape: [N, C, H, W].
        head_layers: The final concatenation and the last convolution of each head.
    """

    mlir: Blob
    weights: Blob
    weights_name: str
    input_name: str
    input_shape: tuple[int, int, int, int]
    head_layers: tuple[str, ...]
    evidence: Evidence


class CalibrationTable(Record):
    """Per-tensor ranges.

    Attributes:
        table: The compiler's table, without the line that holds the time.
        images: How many samples the compiler says it used.
        method: How the ranges were derived.
        samples_digest: Of the samples that lay before the compiler, read when it was done
            (`tasks.quantize.samples_digest`).
    """

    table: Blob
    images: int
    method: str
    samples_digest: str
    evidence: Evidence


class Quantized(Record):
    """How a network became int8.

    Attributes:
        method: How the ranges were derived.
        table: Digest of the calibration table.
        float_layers: The compiler's names of the layers that stay in float.
    """

    method: str
    table: str
    float_layers: tuple[str, ...]


def is_mixed(quantized: Quantized | None) -> bool:
    """Whether it is int8 with layers in float, whose arithmetic no two programs round alike."""
    return quantized is not None and bool(quantized.float_layers)


class Lowered(Record):
    """The network in a chip's dialect, which the interpreter runs bit by bit as the chip would.

    Attributes:
        variant: Chip, precision; batch and cores are 1.
        mlir: The module's text.
        weights: Its weight archive.
        weights_name: The name by which the module refers to the archive.
        quantized: How int8 was made; None for what is in float.
    """

    variant: Variant
    mlir: Blob
    weights: Blob
    weights_name: str
    quantized: Quantized | None = None
    evidence: Evidence


class Compiled(Record):
    """A bmodel and what was read out of it.

    Attributes:
        variant: What it is.
        bmodel: The file, with its time stamp set to a fixed one.
        content_digest: Digest of the bytes with what differs from build to build taken out.
        inputs: Read from the file.
        outputs: Read from the file.
        device_memory: Bytes on the device: weights, instructions and run-time memory.
        estimated_ms: The compiler's estimate for one run of the whole batch, milliseconds.
        quantized: How int8 was made; None for what is in float.
    """

    variant: Variant
    bmodel: Blob
    content_digest: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    device_memory: int
    estimated_ms: float | None
    quantized: Quantized | None = None
    evidence: Evidence


class HeadDistance(Record):
    """Distance of one head's tensor to the reference.

    Attributes:
        cosine: Cosine similarity over all images together.
        snr_db: Signal to noise, decibel, 200 where there is no noise.
        max_abs: Largest absolute difference.
    """

    cosine: float
    snr_db: float
    max_abs: float


class Measured(Record):
    """Accuracy and distance at one rung of the loss ladder.

    Attributes:
        rung: `PyTorch`, `TorchScript`, or chip and precision in the interpreter.
        variant: Chip and precision in the interpreter; None for the others.
        images: How many were evaluated.
        ap: AP over IoU 0.50 to 0.95, None where there are no boxes or the weights are a stand-in.
        ap50: AP at IoU 0.50.
        ap75: AP at IoU 0.75.
        by_size: AP of `small`, `medium` and `large` objects, None where there are none; empty where `ap` is None.
        by_class: AP of each class of the evaluation set by name, None where it has no boxes; empty where `ap` is None.
        distances: By head, against the TorchScript; empty for the reference itself.
        distance_images: How many images the distances are over.
        detections: All detections, JSON by image name.
        samples: Head tensors of the first images, one array an image in a compressed archive.
        worst: Images that lose most against the reference, worst first.
    """

    rung: str
    variant: Variant | None
    images: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    by_size: dict[str, float | None]
    by_class: dict[str, float | None]
    distances: dict[str, HeadDistance]
    distance_images: int
    detections: Blob
    samples: Blob
    worst: tuple[str, ...] = ()


class Simulated(Record):
    """The very bmodel in the vendor's simulator, beside the interpreter.

    Attributes:
        variant: What was run.
        images: How many.
        max_abs: Largest absolute difference to the interpreter's head tensor.
        identical: Whether every value was equal bit by bit.
        distances: By head, against the interpreter on the same images.
    """

    variant: Variant
    images: int
    max_abs: float
    identical: bool
    distances: dict[str, HeadDistance] = Field(default_factory=dict)


class GoldenValues(Record):
    """What one chip and precision gives for the golden images.

    Attributes:
        variant: Chip and precision; batch and cores are 1.
        shape: Of the head tensor of one image: C + 4, h, w.
        values: For each image the heads' positions and values, as JSON.
        mixed: Whether it is int8 with layers in float.
    """

    variant: Variant
    mixed: bool
    shape: tuple[int, int, int]
    values: Blob


def blobs_of(value: object) -> Iterator[Blob]:
    """Yield every blob that a record needs, evidence left out."""
    if isinstance(value, Blob):
        yield value
    elif isinstance(value, Evidence):
        return
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from blobs_of(getattr(value, name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from blobs_of(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from blobs_of(item)
