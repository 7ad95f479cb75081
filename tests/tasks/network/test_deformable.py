"""The operator reads where it is told to, as a direct reading of its definition does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tasks.network import deformable
from tasks.network.deformable import deform_conv2d

Array = NDArray[np.float64]
STREAM = np.random.default_rng


def _at(plane: Array, row: float, column: float) -> float:
    """A plane [h, w] between its cells: linear, and zero outside."""
    value = 0.0
    for y in range(int(np.floor(row)), int(np.floor(row)) + 2):
        for x in range(int(np.floor(column)), int(np.floor(column)) + 2):
            if 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]:
                value += (1 - abs(row - y)) * (1 - abs(column - x)) * plane[y, x]
    return value


def _directly(features: Array, weight: Array, bias: Array, offsets: Array, mask: Array) -> Array:
    """The definition, one number at a time; arguments and result as those of `deform_conv2d`."""
    count, channels, height, width = features.shape
    kernel = weight.shape[-1]
    result = np.empty((count, len(weight), height, width))
    for n, row, column in np.ndindex(count, height, width):
        read = np.zeros((channels, kernel, kernel))
        for i, j in np.ndindex(kernel, kernel):
            tap = i * kernel + j
            down, right = offsets[n, 2 * tap : 2 * tap + 2, row, column]
            place = row + i - kernel // 2 + down, column + j - kernel // 2 + right
            read[:, i, j] = [mask[n, tap, row, column] * _at(plane, *place) for plane in features[n]]
        result[n, :, row, column] = np.tensordot(weight, read, 3) + bias
    return result


def _case(seed: int, *, spread: float, whole: bool = False) -> list[Array]:
    """Arguments of `deform_conv2d`: two images of 5 x 7 cells, 3 channels to 4, offsets of this spread in cells."""
    stream = STREAM(seed)
    offsets = stream.normal(0, spread, (2, 18, 5, 7))
    return [
        stream.standard_normal((2, 3, 5, 7)),
        stream.standard_normal((4, 3, 3, 3)),
        stream.standard_normal(4),
        np.round(offsets) if whole else offsets,
        stream.uniform(0, 1, (2, 9, 5, 7)),
    ]


def _ours(case: list[Array]) -> Array:
    return deform_conv2d(*map(torch.from_numpy, case)).numpy()


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("whole", [False, True])
def test_it_computes_what_its_definition_says_at_borders_and_beyond(spread: float, whole: bool) -> None:
    case = _case(1, spread=spread, whole=whole)
    np.testing.assert_allclose(_ours(case), _directly(*case), atol=1e-12)


def test_without_offsets_and_at_full_strength_it_is_a_convolution() -> None:
    features, weight, bias, offsets, mask = map(torch.from_numpy, _case(2, spread=1.0))
    found = deform_conv2d(features, weight, bias, torch.zeros_like(offsets), torch.ones_like(mask))
    assert torch.allclose(found, functional.conv2d(features, weight, bias, padding=1), atol=1e-12)


@pytest.mark.parametrize(("channel", "read"), [(2 * 4, (3, 2)), (2 * 4 + 1, (2, 3))])
def test_of_two_offsets_of_a_tap_the_first_is_down_and_the_second_right(channel: int, read: tuple[int, int]) -> None:
    features = np.zeros((1, 1, 5, 5))
    features[0, 0, *read] = 1
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 1  # the middle tap, number 4
    offsets = np.zeros((1, 18, 5, 5))
    offsets[0, channel] = 1
    found = _ours([features, weight, np.zeros(1), offsets, np.ones((1, 9, 5, 5))])
    assert found[0, 0, 2, 2] == 1 and found.sum() == 1


def test_half_a_cell_outside_half_is_left_and_a_whole_one_nothing() -> None:
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 1
    offsets = np.zeros((1, 18, 1, 3))
    offsets[0, 9] = [-0.5, 0, 1]
    found = _ours([np.ones((1, 1, 1, 3)), weight, np.zeros(1), offsets, np.ones((1, 9, 1, 3))])
    assert found.ravel().tolist() == [0.5, 1, 0]


def test_it_can_be_trained() -> None:
    case = [torch.from_numpy(part).requires_grad_() for part in _case(3, spread=1.0)]
    assert torch.autograd.gradcheck(deform_conv2d, case)


def test_a_form_that_centernet_does_not_have_is_refused() -> None:
    features, weight, bias, offsets, mask = map(torch.from_numpy, _case(4, spread=1.0))
    deformable.register()
    with pytest.raises(ValueError, match="stride 1"):
        torch.ops.torchvision.deform_conv2d(features, weight, offsets, mask, bias, 2, 2, 1, 1, 1, 1, 1, 1, True)


def _in_a_fresh_process(code: str, *arguments: str) -> str:
    argv = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_trace_holds_it_whole_and_a_fresh_process_reads_it(tmp_path: Path) -> None:
    case = [part.astype(np.float32) for part in _case(5, spread=1.0)]
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        deform_conv2d, tuple(map(torch.from_numpy, case)), check_trace=False
    )
    assert [node.kind() for node in traced.graph.nodes() if node.kind() != "prim::Constant"] == [
        "torchvision::deform_conv2d"
    ]
    traced.save(str(tmp_path / "one.pt"))
    code = "import sys, pathlib; from tasks.network.running import torchscript; torchscript(pathlib.Path(sys.argv[1]))"
    _in_a_fresh_process(code, str(tmp_path / "one.pt"))


def test_many_threads_may_ask_for_it_first() -> None:
    code = (
        "import threading; from tasks.network import deformable; "
        "threads = [threading.Thread(target=deformable.register) for _ in range(16)]; "
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]; "
        "print(len(deformable._registered))"
    )
    assert _in_a_fresh_process(code).strip() == "1"


def test_torchvisions_own_is_left_alone() -> None:
    code = (
        "import torch; library = torch.library.Library('torchvision', 'DEF'); "
        "library.define('deform_conv2d(Tensor input) -> Tensor'); "
        "from tasks.network import deformable; deformable.register(); print(len(deformable._registered))"
    )
    assert _in_a_fresh_process(code).strip() == "0"
