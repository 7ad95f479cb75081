"""Calibration: from the curated set to the table of ranges."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from artifacts.store import Blob
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import Driving
from tasks.attempts import NO_LABEL, Label
from tasks.errors import CalibrationRefused, CommandTimedOut
from tasks.records import CalibrationSet, CalibrationTable, TopModel
from tasks.step import step
from tasks.toolchain import command, faster_statistics
from tasks.toolchain.drive import driven
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace

_TIME = re.compile(rb"^# gen[^\n]*time:[^\n]*\n", re.M)
_USED = re.compile(rb"^# sample number: (\d{1,9})\s*$", re.M)
_RANGE_FIELDS = 3  # after the tensor's name: threshold, min, max


@step(version=2, slot="calibrate{attempt}", retries=1, retry_on=(CommandTimedOut,))
def calibrate(
    model: TopModel,
    images: CalibrationSet,
    spec: PreprocessSpec,
    method: str,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> CalibrationTable:
    """Derive the ranges of all tensors from the curated set.

    The samples are made by the very function that the device runs, with the release's own preprocess spec, and are
    given to the compiler as tensors: its own image reading would shuffle, cap and normalise in ways of its own.

    Args:
        model: The network at batch 1.
        images: The curated set.
        spec: How an image becomes the input tensor.
        method: The compiler's name of the calibration method.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.
        attempt: For which attempt at int8.

    Returns:
        The table, without the line that holds the time.

    Raises:
        CalibrationRefused: A sample is not usable, or the table is not over as many samples as were given.
        CommandError: The compiler failed.
    """
    content = workspace.content

    def samples() -> Iterator[NDArray[np.float32]]:
        for image in images.images:
            tensor = preprocess(read_image(content.verified(image.blob)), spec)[np.newaxis]
            check_sample(tensor, model.input_shape, image.name)
            yield tensor

    return calibration_table(samples(), len(images.images), model, method, toolchain, driving, workspace)


def calibration_table(
    samples: Iterable[NDArray[np.float32]],
    count: int,
    model: TopModel,
    method: str,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> CalibrationTable:
    """Have the compiler derive the ranges from tensors.

    Args:
        samples: Input tensors, float32 [1, C, H, W] each, in the order in which the compiler gets them.
        count: How many there are.
        model: The network at batch 1.
        method: The compiler's name of the calibration method.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The table, without the line that holds the time.

    Raises:
        CalibrationRefused: The table is not over as many samples as were given.
        CommandError: The compiler failed.
    """
    content = workspace.content
    planned = command.calibrate(count, method, timeout_s=driving.timeouts.calibrate)
    with content.scratch("calibration-samples") as folder:
        paths = []
        for index, tensor in enumerate(samples):
            paths.append(folder / f"{index:05d}.npz")
            np.savez(paths[-1], **{model.input_name: tensor})  # type: ignore[arg-type]
        inputs: dict[str, Blob | bytes] = {
            command.TOP_MLIR: model.mlir,
            model.weights_name: model.weights,
            command.IMAGE_LIST: image_list(paths),
            command.STATISTICS: Path(faster_statistics.__file__).read_bytes(),
        }
        with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
            table = content.put_bytes(stable_table((ran.folder / command.TABLE).read_bytes(), count))
            return CalibrationTable(
                table=table,
                images=count,
                method=method,
                samples_digest=samples_digest(_read_samples(paths, model.input_name)),
                evidence=ran.evidence,
            )


def image_list(paths: list[Path]) -> bytes:
    """Write the list of samples, one path a line; a blank line would stop the compiler."""
    return "".join(f"{path}\n" for path in paths).encode()


def samples_digest(samples: Iterable[NDArray[np.float32]]) -> str:
    """Name input tensors by their bytes, shapes and order.

    Args:
        samples: Input tensors, float32 [1, C, H, W] each.
    """
    digest = hashlib.sha256()
    for tensor in samples:
        digest.update(f"{tensor.dtype.str} {list(tensor.shape)} ".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return f"sha256:{digest.hexdigest()}"


def check_sample(tensor: NDArray[np.float32], shape: tuple[int, ...], name: str) -> None:
    """Refuse a sample that the calibrator would take without a word and make meaningless ranges of.

    Args:
        tensor: The sample, float32 [1, C, H, W].
        shape: The network's input shape.
        name: The image's name, for the message.

    Raises:
        CalibrationRefused: Wrong shape or type, NaN or infinity, or the same value everywhere.
    """
    if tensor.shape != shape or tensor.dtype != np.float32:
        reason = f"its tensor is {tensor.dtype} {list(tensor.shape)}, the network takes float32 {list(shape)}"
    elif not np.isfinite(tensor).all():
        reason = "its tensor holds NaN or infinity"
    elif float(np.ptp(tensor)) == 0.0:
        reason = "its tensor has the same value everywhere"
    else:
        return
    raise CalibrationRefused(f"The calibration image {name} is refused: {reason}. Remove it from the candidates.")


def stable_table(table: bytes, images: int) -> bytes:
    """Check a calibration table and take out the time at which it was made.

    Args:
        table: As the compiler writes it.
        images: How many samples were given.

    Returns:
        The table; the same samples give the same bytes.

    Raises:
        CalibrationRefused: It is over another number of samples, has no rows, or a range that is not finite.
    """
    used = _USED.search(table)
    if used is None or int(used[1]) != images:
        said = used[1].decode() if used else "no number of"
        raise CalibrationRefused(f"{images} calibration samples were given, the compiler says it used {said} samples.")
    rows = [line.split() for line in table.splitlines() if line.strip() and not line.startswith(b"#")]
    try:
        ranges = np.array([[float(value) for value in row[1:]] for row in rows])
    except ValueError:  # no number, or rows of different lengths
        ranges = np.zeros((0, 0))
    if ranges.shape != (len(rows), _RANGE_FIELDS) or not np.isfinite(ranges).all():
        raise CalibrationRefused(
            "The calibration table is empty, or has a row that is not a tensor's name and three finite numbers. Are "
            "all weights of the network finite?"
        )
    return _TIME.sub(b"", table)


def _read_samples(paths: Iterable[Path], name: str) -> Iterator[NDArray[np.float32]]:
    for path in paths:
        with np.load(path) as archive:
            yield archive[name]
