"""Modulated deformable convolution: the operator under torchvision's name, in torch alone.

The compiler translates `torchvision::deform_conv2d` and nothing like it. Its own environment has torchvision; the build
environment does without: torchvision would have to match torch's build, and the common wheel does not load beside a
torch without CUDA. Here the operator has the same name, schema and meaning, so that a trace holds the node that the
compiler knows.

Sources:
    Zhu, Hu, Lin, Dai, "Deformable ConvNets v2", CVPR 2019, arXiv 1811.11168 (offsets and modulation).
    torchvision's documentation of `deform_conv2d` (order of the offsets, zeros outside).
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.nn import functional

_NAMESPACE, _NAME = "torchvision", "deform_conv2d"
_SCHEMA = (
    f"{_NAME}(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, "
    "SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, "
    "bool use_mask) -> Tensor"
)
_registering = threading.Lock()
_registered: list[torch.library.Library] = []  # torch forgets an operator with the library that defined it


def register() -> None:
    """Makes torch know the operator; without effect where torchvision has done so. May be called from any thread."""
    with _registering:
        if hasattr(getattr(torch.ops, _NAMESPACE), _NAME):
            return
        library = torch.library.Library(_NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(_SCHEMA)  # type: ignore[no-untyped-call]
        # Made of torch's own operators: gradients and other devices come with them. A trace still keeps it whole.
        library.impl(_NAME, _operator, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
        _registered.append(library)


def deform_conv2d(features: Tensor, weight: Tensor, bias: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
    """Convolves with a kernel whose taps lie anywhere: stride 1, output of the input's height and width.

    Args:
        features: float [N, C, H, W].
        weight: float [O, C, K, K], K odd.
        bias: float [O].
        offsets: float [N, 2 K K, H, W]: how far every tap is moved from its regular place, in cells; channels 2 k and
            2 k + 1 are down and right of tap k, taps counted row by row.
        mask: float [N, K K, H, W], a factor on what every tap reads.

    Returns:
        float [N, O, H, W]. Between cells values are interpolated linearly; outside there are zeros.
    """
    register()
    padding = weight.shape[-1] // 2
    operator = getattr(getattr(torch.ops, _NAMESPACE), _NAME)
    # Stride, padding and dilation, each down and right; one group of channels, one of offsets; the mask is used.
    result: Tensor = operator(features, weight, offsets, mask, bias, 1, 1, padding, padding, 1, 1, 1, 1, True)
    return result


def _operator(
    features: Tensor,
    weight: Tensor,
    offsets: Tensor,
    mask: Tensor,
    bias: Tensor,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Tensor:
    if (stride_h, stride_w, dilation_h, dilation_w, groups, offset_groups, use_mask) != (1, 1, 1, 1, 1, 1, True):
        raise ValueError(
            "This deformable convolution has stride 1, dilation 1, one group and a mask, as CenterNet's has; for any "
            "other, import torchvision before the network is run."
        )
    channels_out, _, *kernel = weight.shape
    down, right = _places(offsets, (kernel[0], kernel[1]), (pad_h, pad_w))
    read = _interpolated(features, down, right, mask.permute(0, 2, 3, 1))
    by_tap = weight.permute(2, 3, 1, 0).reshape(-1, channels_out)
    result = read.flatten(3) @ by_tap + bias
    return result.permute(0, 3, 1, 2)


def _places(offsets: Tensor, kernel: tuple[int, int], padding: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows and columns at which the taps read, float [N, H, W, taps] each, in cells."""
    _, _, height, width = offsets.shape
    tap_row = torch.arange(kernel[0], device=offsets.device) - padding[0]
    tap_column = torch.arange(kernel[1], device=offsets.device) - padding[1]
    down = torch.arange(height, device=offsets.device).reshape(-1, 1, 1) + tap_row.repeat_interleave(kernel[1])
    right = torch.arange(width, device=offsets.device).reshape(-1, 1) + tap_column.repeat(kernel[0])
    moved = offsets.permute(0, 2, 3, 1)
    return moved[..., 0::2] + down, moved[..., 1::2] + right


def _interpolated(features: Tensor, down: Tensor, right: Tensor, mask: Tensor) -> Tensor:
    """Features between their cells, zeros outside: float [N, H, W, taps, C] from [N, C, h, w] and [N, H, W, taps]."""
    count, channels, height, width = features.shape
    first_cell = (torch.arange(count, device=features.device) * height * width).reshape(-1, 1, 1, 1)
    top, left = down.floor(), right.floor()
    below, beside = down - top, right - left
    cells, shares = [], []
    for row, row_share in ((top, 1 - below), (top + 1, below)):
        for column, column_share in ((left, 1 - beside), (left + 1, beside)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cells.append(first_cell + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long())
            shares.append(row_share * column_share * inside * mask)
    # One pass over the features instead of one for each corner: a third of the time.
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    corners, weights = (torch.stack(part, -1).reshape(-1, 4) for part in (cells, shares))
    read = functional.embedding_bag(corners, table, mode="sum", per_sample_weights=weights)
    return read.reshape(*down.shape, channels)
