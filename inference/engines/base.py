"""What every engine offers: one model, loaded, that turns input batches into head tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional, Protocol, Type

import numpy as np

from artifacts.bmodel import BmodelInfo, TensorInfo, read_bmodel
from artifacts.errors import BmodelError
from inference.errors import ModelError, OptionError

BATCH_AXES = 4
"""N, channels, height, width: of the input and of the head tensor alike."""


@dataclass(frozen=True)
class EngineInfo:
    """What is loaded.

    Attributes:
        engine: The engine's name: ``sail`` or ``simulator``.
        chip: The chip that the model was compiled for.
        input: The model's input; its shape begins with the batch that it was compiled for.
        input_dtype: What `Engine.run` takes: ``float32``, or ``uint8`` where the model takes raw pixels.
        output: The head tensor.
    """

    engine: str
    chip: str
    input: TensorInfo
    input_dtype: str
    output: TensorInfo

    @property
    def batch(self) -> int:
        """How many images the model takes at once."""
        return self.input.shape[0]


class Engine(Protocol):
    """One loaded model. It is its own context manager, and is closed at the end of the block."""

    @property
    def info(self) -> EngineInfo:
        """What is loaded."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the model.

        Args:
            batch: float32 or uint8 (``info.input_dtype``) [N, 3, H, W], any N from 1.

        Returns:
            float32 [N, C + 4, h, w], the head tensor.

        Raises:
            OptionError: The batch has another dtype or shape than the model's input.
            EngineError: The engine failed.
        """

    def close(self) -> None:
        """Free the model. May be called twice."""

    def __enter__(self) -> Engine: ...

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None: ...


def read_sound_bmodel(model: Path, chip: Optional[str] = None) -> BmodelInfo:
    """Read a bmodel's description, and refuse what would make the vendor's runtime abort or go wrong silently.

    Args:
        model: The file.
        chip: The chip that it has to be for; None takes any.

    Raises:
        ModelError: The file is missing or damaged, or is for another chip.
    """
    if not model.is_file():
        raise ModelError(f"there is no model file {model}", model)
    try:
        info = read_bmodel(model)
    except (BmodelError, OSError) as error:
        raise ModelError(str(error), model) from error
    if not info.weight_sha256_ok:
        raise ModelError(
            f"the weights in {model} are not those that the compiler wrote: the file was damaged. Fetch it again", model
        )
    if chip is not None and info.chip != chip:
        raise ModelError(f"{model} is for {info.chip}, not for {chip}: choose the file in the folder {chip}", model)
    return info


def check_batch(batch: np.ndarray, info: EngineInfo) -> None:
    """Refuse a batch that is not for this model.

    Raises:
        OptionError: Its dtype, or its shape apart from N, is another than the model's.
    """
    wanted = info.input.shape[1:]
    if batch.dtype != info.input_dtype or batch.ndim != BATCH_AXES or batch.shape[1:] != wanted or not len(batch):
        raise OptionError(
            f"the batch is {batch.dtype} {list(batch.shape)}, but the model takes {info.input_dtype} "
            f"[N, {', '.join(map(str, wanted))}]: preprocess with the spec of the model's own release"
        )


def check_single(path: Path, networks: int, inputs: int, outputs: int) -> None:
    """Refuse a model that has not exactly one network with one input and one output.

    Raises:
        ModelError: There are more, or fewer.
    """
    if (networks, inputs, outputs) != (1, 1, 1):
        raise ModelError(
            f"{path} has {networks} networks, {inputs} inputs and {outputs} outputs; expected one of each", path
        )


def check_contract(info: EngineInfo) -> None:
    """Refuse a model whose input or output is not that of a CenterNet of ours.

    Raises:
        ModelError: The input is no [N, 3, H, W], or the output no [N, classes + 4, h, w] of the same N.
    """
    given, made = info.input.shape, info.output.shape
    if len(given) != BATCH_AXES or given[1] != 3 or len(made) != BATCH_AXES or made[0] != given[0] or made[1] <= 4:
        raise ModelError(
            f"the model's input is {list(given)} and its output {list(made)}; expected [N, 3, H, W] and "
            "[N, classes + 4, H / 4, W / 4]: it is no CenterNet with one head tensor"
        )


def run_in_slices(batch: np.ndarray, size: int, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Run a batch of any length through a model that takes a fixed number of images.

    The last slice is filled up by repeating its last image, which the model handles like any other;
    the results for the repetitions are dropped.

    Args:
        batch: [N, ...], any N from 1.
        size: How many images the model takes at once.
        run: Turns exactly ``size`` images into their results [size, ...].

    Returns:
        The results of the N images, in order.
    """
    results = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        missing = size - len(part)
        full = part if missing == 0 else np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        results.append(run(np.ascontiguousarray(full))[: len(part)])
    return results[0] if len(results) == 1 else np.concatenate(results)
