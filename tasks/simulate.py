"""The very bmodels in the vendor's simulator, beside the compiler's interpreter."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from artifacts.release import PreprocessSpec
from inference.engines.worker import WorkerProcess
from settings.sections import TimeoutSettings
from tasks.attempts import NO_LABEL, Label
from tasks.distance import HeadDistances
from tasks.errors import ResultRefused
from tasks.records import Compiled, HeadDistance, ImageSet, Measured, Simulated
from tasks.rungs import SAMPLE_IMAGES, Tensor, input_batch, load_samples, single_output
from tasks.step import step
from tasks.toolchain.contents import check_before_use
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace


@step(version=2, slot="simulate {compiled.variant.path}{attempt}")
def simulate(
    compiled: Compiled,
    measured: Measured,
    images: ImageSet,
    spec: PreprocessSpec,
    count: int,
    limits: TimeoutSettings,
    toolchain: Toolchain,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> Simulated:
    """Run the very bmodel in the vendor's simulator and lay its output beside the interpreter's.

    Args:
        compiled: The bmodel.
        measured: The interpreter's result for its chip and precision.
        images: The evaluation set, of which the first are used.
        spec: How an image becomes the input tensor.
        count: How many images at least, filled up to whole batches, at most `SAMPLE_IMAGES`.
        limits: Longest time for one batch.
        toolchain: The compiler, which brings the simulator.
        workspace: Where bytes are kept.
        attempt: Which attempt at int8 it is.

    Returns:
        How far the two are apart, over all and head by head.

    Raises:
        EngineError: The simulator failed or took too long.
        ResultRefused: Its output is not of the interpreter's shape, or not finite.
    """
    variant, content = compiled.variant, workspace.content
    own_spec = spec.of(variant)
    expected = load_samples(content, measured.samples)
    used = images.images[: min(-(-count // variant.batch) * variant.batch, SAMPLE_IMAGES)]
    check_before_use(toolchain)
    gaps: list[float] = []
    far, identical = HeadDistances(), True
    with ExitStack() as stack:
        log = stack.enter_context(workspace.log_file(f"simulate {variant.path}"))
        bmodel = stack.enter_context(content.scratch("simulate")) / f"{variant.stem}.bmodel"
        content.link(compiled.bmodel, bmodel)
        worker = stack.enter_context(
            WorkerProcess(
                Path(toolchain.python),
                bmodel,
                chip=variant.chip,
                log=log,
                start_timeout_s=limits.simulate,
                timeout_s=limits.simulate,
            )
        )
        for start in range(0, len(used), variant.batch):
            batch = used[start : start + variant.batch]
            output = single_output(worker.run(filled(input_batch(batch, own_spec, content), variant.batch)))
            check_shape(output.shape, (variant.batch, *expected[batch[0].name].shape), variant.path)
            for index, image in enumerate(batch):
                wanted, given = expected[image.name], output[index]
                gaps.append(gap(given, wanted, f"{variant.path}, {image.name}"))
                identical = identical and bool(np.array_equal(given, wanted))
                far.add(wanted[np.newaxis], given[np.newaxis])
    distances = {head: HeadDistance(**one.model_dump()) for head, one in far.distances().items()}
    return Simulated(variant=variant, images=len(used), max_abs=max(gaps), identical=identical, distances=distances)


def filled(batch: Tensor, size: int) -> Tensor:
    """Fill a batch [N, C, H, W] up to its size by repeating the last image."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def gap(found: Tensor, expected: Tensor, what: str) -> float:
    """Return the largest absolute difference of two head tensors [classes + 4, h, w].

    Raises:
        ResultRefused: The difference is NaN or infinite.
    """
    difference = float(np.abs(found - expected).max())
    if not np.isfinite(difference):
        raise ResultRefused(
            f"{what}: the simulator's output holds NaN or infinity where the interpreter's does not. Take the variant "
            "out of the matrix."
        )
    return difference


def check_shape(found: tuple[int, ...], expected: tuple[int, ...], what: str) -> None:
    """Refuse an output of another shape than the interpreter's.

    Raises:
        ResultRefused: The shapes differ.
    """
    if found != expected:
        raise ResultRefused(
            f"{what}: the simulator gives {list(found)}, by the interpreter it should be {list(expected)}. The "
            "compiler made another network than it was asked for: report it to the vendor."
        )
