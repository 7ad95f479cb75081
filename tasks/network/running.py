"""A torch module as a function from input tensors to head tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.network import deformable

Tensor = NDArray[np.float32]


def torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a TorchScript file.

    Args:
        path: The file.

    Returns:
        The network: float32 [N, C, H, W] to float32 [N, classes + 4, h, w].
    """
    # A file that holds an operator which torch does not know cannot even be read.
    deformable.register()
    return running(torch.jit.load(str(path), map_location="cpu"))  # type: ignore[no-untyped-call]


def running(module: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    """Run a module on arrays, without gradients.

    Args:
        module: The network; it is put into evaluation mode.

    Returns:
        The network: float32 [N, C, H, W] to float32 [N, classes + 4, h, w].
    """
    # One thread: the sums of a convolution depend on how it is divided, and two steps at a time have two cores.
    torch.set_num_threads(1)
    module.eval()

    def infer(batch: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = module(torch.from_numpy(batch)).numpy()
        return result

    return infer
