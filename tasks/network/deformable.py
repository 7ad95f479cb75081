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
        raise NotImplementedError(
            "This deformable convolution has stride 1, dilation 1, one group and a mask, as CenterNet's has; for any "
            "other, import torchvision before the network is run."
        )
    channels_out, channels, *kernel = weight.shape
    down, right = _places(offsets, (kernel[0], kernel[1]), (pad_h, pad_w))
    read = _interpolated(features, down, right) * mask.unsqueeze(1)
    count, _, _, height, width = read.shape
    columns = read.reshape(count, channels * kernel[0] * kernel[1], height * width)
    result = (weight.reshape(channels_out, -1) @ columns).reshape(count, channels_out, height, width)
    return result + bias.reshape(1, -1, 1, 1)


def _places(offsets: Tensor, kernel: tuple[int, int], padding: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows and columns at which the taps read, float [N, taps, H, W] each, in cells."""
    count, _, height, width = offsets.shape
    by_tap = offsets.reshape(count, kernel[0] * kernel[1], 2, height, width)
    row, column = (torch.arange(side, device=offsets.device) for side in (height, width))
    tap_row = torch.arange(kernel[0], device=offsets.device) - padding[0]
    tap_column = torch.arange(kernel[1], device=offsets.device) - padding[1]
    down = tap_row.repeat_interleave(kernel[1]).reshape(-1, 1, 1) + row.reshape(-1, 1)
    right = tap_column.repeat(kernel[0]).reshape(-1, 1, 1) + column
    return by_tap[:, :, 0] + down, by_tap[:, :, 1] + right


def _interpolated(features: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Features between their cells, zeros outside: float [N, C, taps, H, W] from [N, C, h, w] and [N, taps, H, W]."""
    count, channels, height, width = features.shape
    cells = features.permute(0, 2, 3, 1).reshape(count * height * width, channels)
    first_cell = (torch.arange(count, device=features.device) * height * width).reshape(-1, 1, 1, 1)
    top, left = down.floor(), right.floor()
    below, beside = down - top, right - left
    total = features.new_zeros(())
    for row, row_share in ((top, 1 - below), (top + 1, below)):
        for column, column_share in ((left, 1 - beside), (left + 1, beside)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = first_cell + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            share = row_share * column_share * inside
            total = total + cells[index.reshape(-1)] * share.reshape(-1, 1)
    return total.reshape(*down.shape, channels).permute(0, 4, 1, 2, 3)
