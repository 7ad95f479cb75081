"""The rungs of the loss ladder: the network in PyTorch, as TorchScript, and each precision in the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.release import PreprocessSpec
from inference.engines.worker import WorkerProcess
from settings.sections import Judging, NetworkSettings, TimeoutSettings
from tasks.attempts import NO_LABEL, Label
from tasks.records import Checkpoint, ImageSet, Lowered, Measured, Traced
from tasks.rungs import Infer, measure, single_output
from tasks.step import step
from tasks.toolchain.contents import check_before_use
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace


@step(version=2, slot="evaluate pytorch")
def evaluate_network(
    checkpoint: Checkpoint,
    network: NetworkSettings,
    traced: Traced,
    images: ImageSet,
    spec: PreprocessSpec,
    judging: Judging,
    workspace: Workspace,
) -> Measured:
    """Measure the eager network, before anything was done to it.

    Args:
        checkpoint: The weights.
        network: Which network they belong to.
        traced: The TorchScript module, for the distances.
        images: The evaluation set.
        spec: How an image becomes the input tensor.
        judging: How accuracy is measured, and whether it means anything.
        workspace: Where bytes are kept.

    Returns:
        Accuracy, and the distance to the TorchScript.

    Raises:
        DataError: The evaluation set cannot be used.
    """
    # Imported late: torch takes seconds, and where nothing changed no step of it runs.
    from tasks.network import build_network
    from tasks.network.checkpoint import load_checkpoint
    from tasks.network.running import running

    content = workspace.content
    module = build_network(network.name, width=network.width, num_classes=network.num_classes)
    load_checkpoint(content.verified(checkpoint.blob), module)
    return measure(
        "PyTorch",
        running(module),
        images,
        spec=spec,
        judging=judging,
        content=content,
        torchscript=torchscript_of(traced, workspace),
    )


@step(version=2, slot="evaluate torchscript")
def evaluate_reference(
    traced: Traced,
    images: ImageSet,
    spec: PreprocessSpec,
    judging: Judging,
    workspace: Workspace,
) -> Measured:
    """Measure the TorchScript module itself: what every other rung is compared with.

    Args:
        traced: The module.
        images: The evaluation set.
        spec: How an image becomes the input tensor.
        judging: How accuracy is measured, and whether it means anything.
        workspace: Where bytes are kept.

    Returns:
        Accuracy, and the tensors and detections that the other rungs need.

    Raises:
        DataError: The evaluation set cannot be used.
    """
    infer = torchscript_of(traced, workspace)
    content = workspace.content
    return measure("TorchScript", infer, images, spec=spec, judging=judging, content=content)


@step(version=2, slot="evaluate {lowered.variant.chip} {lowered.variant.precision}{attempt}")
def evaluate(
    lowered: Lowered,
    traced: Traced,
    reference: Measured,
    images: ImageSet,
    spec: PreprocessSpec,
    judging: Judging,
    limits: TimeoutSettings,
    toolchain: Toolchain,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> Measured:
    """Measure one chip and precision in the compiler's interpreter, which gives the chip's int8 results bit by bit.

    Args:
        lowered: The network in the chip's dialect, batch 1.
        traced: The TorchScript module, for the distances.
        reference: What was measured of it.
        images: The evaluation set.
        spec: How an image becomes the input tensor.
        judging: How accuracy is measured, and whether it means anything.
        limits: Longest time for one image.
        toolchain: The compiler.
        workspace: Where bytes are kept.
        attempt: Which attempt at int8 it is.

    Returns:
        Accuracy and distance.

    Raises:
        DataError: The evaluation set cannot be used.
        EngineError: The interpreter failed or took too long.
        ResultRefused: The output holds NaN or infinity.
    """
    rung = f"{lowered.variant.chip} {lowered.variant.precision}"
    with interpreter(lowered, f"evaluate {rung}", toolchain, limits.interpret, workspace) as infer:
        return measure(
            rung,
            infer,
            images,
            spec=spec,
            judging=judging,
            content=workspace.content,
            torchscript=torchscript_of(traced, workspace),
            reference=reference,
            variant=lowered.variant,
        )


def torchscript_of(traced: Traced, workspace: Workspace) -> Infer:
    """Load the TorchScript module as a function."""
    from tasks.network.running import torchscript

    return torchscript(workspace.content.verified(traced.module))


@contextmanager
def interpreter(
    lowered: Lowered, label: str, toolchain: Toolchain, timeout_s: float, workspace: Workspace
) -> Iterator[Infer]:
    """Keep one lowered network loaded in the compiler's interpreter.

    Args:
        lowered: The network.
        label: What it is loaded for; names the log.
        toolchain: The compiler.
        timeout_s: Longest time for loading it, and for one image.
        workspace: Where bytes are kept.

    Yields:
        The network as a function.

    Raises:
        EngineError: The interpreter failed or took too long.
    """
    content = workspace.content
    with content.scratch("interpreter") as folder:
        path = folder / "network.mlir"
        content.link(lowered.mlir, path)
        content.link(lowered.weights, folder / lowered.weights_name)
        with interpreting(path, label, toolchain, timeout_s, workspace) as infer:
            yield infer


@contextmanager
def interpreting(
    path: Path, label: str, toolchain: Toolchain, timeout_s: float, workspace: Workspace
) -> Iterator[Infer]:
    """Keep a lowered network loaded that lies in a folder, its weights beside it; else as `interpreter`."""
    check_before_use(toolchain)
    with (
        workspace.log_file(label) as log,
        WorkerProcess(Path(toolchain.python), path, log=log, start_timeout_s=timeout_s, timeout_s=timeout_s) as worker,
    ):
        yield lambda batch: single_output(worker.run(batch))
