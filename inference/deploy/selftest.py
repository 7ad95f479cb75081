"""The self-test: does a model give on this device what its release says that it gives?

The golden images go through the preprocessing and the engine that will be used afterwards. A model that another runtime
version runs differently, a damaged chip memory or another OpenCV is found here rather than in the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Sequence, Tuple

import numpy as np

from artifacts.bounded import read_bounded
from artifacts.errors import ArtifactError
from artifacts.golden import GOLDEN_TITLE, MAX_GOLDEN_BYTES, Golden, GoldenHead, GoldenOutput
from artifacts.release import ReleaseRecord, Variant
from inference.engines.base import Engine
from inference.errors import DeployError, ModelError, SelfTestFailed
from inference.images import read_image
from inference.model import ReleasedModel, find_model
from inference.preprocess import preprocess_batch

Open = Callable[[ReleasedModel], Engine]
"""Loads a model on this machine's engine."""

_CHANNELS = {"heatmap": slice(None, -4), "size": slice(-4, -2), "offset": slice(-2, None)}


def check_release(folder: Path, record: ReleaseRecord, variants: Sequence[Variant], open_engine: Open) -> None:
    """Run the golden images of a release through some of its models.

    Args:
        folder: The release.
        record: What it says about itself.
        variants: Which models.
        open_engine: Loads one.

    Raises:
        SelfTestFailed: A value is farther off than the release allows, or is no number.
        DeployError: The release carries no golden outputs for a model.
        InferenceError: A model cannot be loaded or run.
    """
    golden = _golden(folder)
    images = [read_image(folder / image.title) for image in golden.images]
    for variant in variants:
        expected = golden.output_of(variant)
        if expected is None:
            raise _untestable(f"{GOLDEN_TITLE} has no values for {variant.chip} {variant.precision}")
        batch = preprocess_batch(images, record.preprocess.of(variant))
        with open_engine(find_model(folder / variant.path)) as engine:
            compare(engine.run(batch), expected, golden, variant.path)


def compare(heads: np.ndarray, expected: GoldenOutput, golden: Golden, model: str) -> None:
    """Compare an engine's output with the golden one.

    Args:
        heads: float32 [N, C + 4, h, w], the head tensor of the N golden images.
        expected: What it should be, and how far off it may be.
        golden: The images.
        model: What ran, for messages.

    Raises:
        SelfTestFailed: A value is farther off than allowed, or is no number; the worst one is told.
        ModelError: The output has another shape.
    """
    if heads.shape != (len(golden.images), *golden.shape):
        raise ModelError(f"{model} gave {list(heads.shape)} for {len(golden.images)} images of {list(golden.shape)}")
    found: List[Tuple[float, str, str]] = []
    for tensor, image, wanted in zip(heads, golden.images, expected.images):
        found += [(_difference(tensor, head), head.head, image.title) for head in wanted]
    # NaN is worse than any number, and compares with none.
    difference, head, title = max(found, key=lambda one: float("inf") if np.isnan(one[0]) else one[0])
    if not difference <= expected.tolerance:
        what = "is no number (NaN or infinity)" if not np.isfinite(difference) else f"is off by {difference:.6g}"
        raise SelfTestFailed(
            f"the self-test of {model} failed: its {head} {what} for {title}, where {expected.tolerance:g} is allowed. "
            "The release in use stays. The runtime of this device may not fit the model (`python -m inference doctor` "
            "names both), or its memory is failing",
            model,
            head,
            difference,
            expected.tolerance,
        )


def _difference(tensor: np.ndarray, head: GoldenHead) -> float:
    """The largest absolute difference at the head's positions; NaN where any value of the head is NaN or infinite."""
    if not np.isfinite(tensor[_CHANNELS[head.head]]).all():
        return float("nan")
    values = tensor.reshape(-1)[np.array(head.positions, dtype=np.int64)].astype(np.float64)
    # The golden values are float32 too, written in decimal.
    return float(np.abs(values - np.array(head.values, dtype=np.float32).astype(np.float64)).max())


def _golden(folder: Path) -> Golden:
    path = folder / GOLDEN_TITLE
    try:
        return Golden.from_json(read_bounded(path, MAX_GOLDEN_BYTES))
    except FileNotFoundError:
        raise _untestable(f"it carries no {GOLDEN_TITLE}") from None
    except (OSError, ArtifactError) as error:
        raise _untestable(f"{path} cannot be used: {error}") from error


def _untestable(reason: str) -> DeployError:
    return DeployError(
        f"the release cannot be tested on this device: {reason}. The release in use stays. Build it anew, or switch "
        "without the test by --no-self-test"
    )
