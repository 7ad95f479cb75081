"""Golden inputs and outputs: what a device compares its own output with before it puts a release to use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from artifacts.golden import GOLDEN_FOLDER, GOLDEN_TITLE, Golden, GoldenHead, GoldenImage, GoldenOutput
from artifacts.release import PreprocessSpec
from artifacts.store import Blob, ContentStore
from settings.matrix import SimulatorSettings
from settings.sections import TimeoutSettings
from tasks.attempts import NO_LABEL, Label
from tasks.distance import HEADS
from tasks.errors import ResultRefused
from tasks.gate import tolerance
from tasks.records import GoldenValues, ImageSet, Lowered, StoredImage, is_mixed
from tasks.rungs import Tensor, input_batch
from tasks.sample.scenes import render_scene
from tasks.step import step
from tasks.toolchain.model import Toolchain
from tasks.validate import interpreter
from tasks.workspace import Workspace

GOLDEN_SCENES = 2

_SEED = 1904_07850  # "Objects as Points" on arXiv; no other scenes are drawn from it
_POSITIONS = 64
_PEAKS = 16
_SIZES_AND_OFFSETS = 4
# A texture's noise would make a PNG of several hundred kB.
_LEVELS = 0xE0


@step(version=1, slot="draw golden scenes")
def golden_images(spec: PreprocessSpec, workspace: Workspace) -> ImageSet:
    """Draw the golden inputs, at the size of the model's input: resampling may differ between versions of OpenCV.

    Args:
        spec: How an image becomes the input tensor.
        workspace: Where bytes are kept.

    Returns:
        The images as PNG files.
    """
    images = []
    for number in range(GOLDEN_SCENES):
        png = cv2.imencode(".png", golden_scene(number, spec), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
        images.append(StoredImage(name=f"scene-{number + 1}.png", blob=workspace.content.put_bytes(png)))
    return ImageSet(images=tuple(images), annotations=None)


def golden_scene(number: int, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Draw one golden input: uint8 [H, W, 3] in BGR order, in few colours so that its file is small."""
    pixels, _ = render_scene(_SEED, number)
    smooth = np.asarray(cv2.medianBlur(pixels, 5), dtype=np.uint8) & np.uint8(_LEVELS)
    placed = cv2.resize(smooth, (spec.width, spec.height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(placed, dtype=np.uint8)


@step(version=2, slot="golden {lowered.variant.chip} {lowered.variant.precision}{attempt}")
def golden_values(
    lowered: Lowered,
    images: ImageSet,
    spec: PreprocessSpec,
    limits: TimeoutSettings,
    toolchain: Toolchain,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> GoldenValues:
    """Run the golden inputs through one chip and precision in the compiler's interpreter.

    Args:
        lowered: The network in the chip's dialect, batch 1.
        images: The golden inputs.
        spec: How an image becomes the input tensor.
        limits: Longest time for one image.
        toolchain: The compiler.
        workspace: Where bytes are kept.
        attempt: Which attempt at int8 it is.

    Returns:
        The values at some positions.

    Raises:
        EngineError: The interpreter failed or took too long.
        ResultRefused: The output holds NaN or infinity.
    """
    content, variant = workspace.content, lowered.variant
    label = f"golden {variant.chip} {variant.precision}"
    found: list[list[dict[str, object]]] = []
    with interpreter(lowered, label, toolchain, limits.interpret, workspace) as infer:
        for number, image in enumerate(images.images):
            heads = infer(input_batch((image,), spec, content))[0]
            if not np.isfinite(heads).all():
                raise ResultRefused(f"{label}: the output for {image.name} holds NaN or infinity.")
            found.append([head.model_dump(mode="json") for head in sampled(heads, number)])
    shape = (int(heads.shape[0]), int(heads.shape[1]), int(heads.shape[2]))
    values = content.put_bytes(json.dumps(found).encode())
    return GoldenValues(variant=variant, shape=shape, values=values, mixed=is_mixed(lowered.quantized))


def sampled(heads: Tensor, number: int) -> Iterator[GoldenHead]:
    """Take the values that stand for a head tensor: some anywhere in each head, and those of the highest peaks.

    Args:
        heads: float32 [C + 4, h, w].
        number: Number of the image; each has positions of its own.

    Yields:
        Each head's positions and values.
    """
    flat, plane = heads.reshape(-1), heads.shape[1] * heads.shape[2]
    peaks = _peaks(heads[:-_SIZES_AND_OFFSETS])
    for order, (head, channels) in enumerate(HEADS.items()):
        first, end, _ = channels.indices(len(heads))
        drawn = np.random.default_rng([_SEED, number, order]).integers(first * plane, end * plane, _POSITIONS)
        cells = [peaks] if head == "heatmap" else [channel * plane + peaks % plane for channel in range(first, end)]
        positions = np.unique(np.concatenate([drawn, *cells]))
        # The shortest decimal that is this float32 again.
        values = [float(str(flat[position])) for position in positions]
        yield GoldenHead.model_validate({"head": head, "positions": positions.tolist(), "values": values})


def golden_files(
    images: ImageSet,
    runs: Sequence[GoldenValues],
    simulator: SimulatorSettings,
    content: ContentStore,
) -> dict[str, Blob]:
    """Join what was run to the files that a release carries.

    Args:
        images: The golden inputs.
        runs: What each chip and precision gave.
        simulator: How far simulator and interpreter may be apart: a device may be as far.
        content: Where bytes are kept.

    Returns:
        By title.
    """
    titles = {f"{GOLDEN_FOLDER}/{image.name}": image.blob for image in images.images}
    golden = Golden(
        shape=runs[0].shape,
        images=tuple(GoldenImage(title=title, blob=blob) for title, blob in titles.items()),
        outputs=tuple(
            GoldenOutput(
                chip=run.variant.chip,
                precision=run.variant.precision,
                tolerance=tolerance(run.variant.precision, run.mixed, simulator),
                images=json.loads(content.verified(run.values).read_bytes()),
            )
            for run in runs
        ),
    )
    return {**titles, GOLDEN_TITLE: content.put_bytes(golden.to_json())}


def _peaks(heatmap: Tensor) -> NDArray[np.int64]:
    """Flat positions of the highest local maxima of logits [C, h, w], highest first."""
    neighbours = np.stack([cv2.dilate(plane, np.ones((3, 3), np.uint8)) for plane in heatmap])
    standing = np.where(heatmap >= neighbours, heatmap, -np.inf).reshape(-1)
    return np.argsort(-standing, kind="stable")[:_PEAKS]
