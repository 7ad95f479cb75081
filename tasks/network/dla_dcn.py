"""CenterNet's dla_34: the backbone of dlav0_34 under an upsampling of deformable convolutions.

Module names follow the state_dict of the published weights, so that a checkpoint loads without renaming.

Sources:
    Zhou, Wang, Krähenbühl, "Objects as Points", 2019, arXiv 1904.07850 (section 5 and appendix A: the network).
    Zhu, Hu, Lin, Dai, "Deformable ConvNets v2", CVPR 2019, arXiv 1811.11168 (modulated deformable convolution).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tasks.network.deformable import deform_conv2d
from tasks.network.dla import (
    HEAD_CHANNELS,
    STAGE_CHANNELS,
    Backbone,
    enlarging,
    head,
    initialise,
    initialise_heads,
    scaled,
)

KERNEL = 3
TAPS = KERNEL * KERNEL


class DeformableConv(nn.Module):
    """A 3x3 convolution that finds out itself where its taps read, and how much each of them counts."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        reach = 1 / math.sqrt(TAPS * channels_in)
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, KERNEL, KERNEL).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.conv_offset_mask = nn.Conv2d(channels_in, 3 * TAPS, KERNEL, padding=KERNEL // 2)
        # Untrained it is a regular convolution at half strength.
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(self.conv_offset_mask.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        # The original calls the first two thirds by two names and joins them again: two numbers a tap, then its factor.
        found = self.conv_offset_mask(features)
        offsets, mask = found[:, : 2 * TAPS], torch.sigmoid(found[:, 2 * TAPS :])
        return deform_conv2d(features, self.weight, self.bias, offsets, mask)


class DeformableBlock(nn.Module):
    """A deformable convolution, normalised and cut off at zero."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))
        self.conv = DeformableConv(channels_in, channels_out)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.actf(self.conv(features))
        return result


class DeformableIterativeUp(nn.Module):
    """Brings deeper feature maps up to the shallowest one and adds them one by one.

    Args:
        channels: channels of the shallowest map and of the result.
        deeper: channels of every deeper map, and how many times finer the shallowest one is.
    """

    def __init__(self, channels: int, deeper: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.depth = len(deeper)
        for i, (channels_in, factor) in enumerate(deeper, start=1):
            self.add_module(f"proj_{i}", DeformableBlock(channels_in, channels))
            self.add_module(f"up_{i}", enlarging(channels, factor))
            self.add_module(f"node_{i}", DeformableBlock(channels, channels))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        merged = [maps[0]]
        for i in range(1, self.depth + 1):
            raised = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(maps[i]))
            merged.append(self.get_submodule(f"node_{i}")(raised + merged[-1]))
        return merged[1:]


class DeformableDeepUp(nn.Module):
    """Upsampling pyramid: merges from the deepest pair outwards, and keeps what every round ends with."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.ida_0 = DeformableIterativeUp(channels[2], ((channels[3], 2),))
        self.ida_1 = DeformableIterativeUp(channels[1], ((channels[2], 2),) * 2)
        self.ida_2 = DeformableIterativeUp(channels[0], ((channels[1], 2),) * 3)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        stride4, stride8, stride16, stride32 = maps
        deep = self.ida_0([stride16, stride32])
        middle = self.ida_1([stride8, stride16, *deep])
        fine = self.ida_2([stride4, stride8, *middle])
        return [fine[-1], middle[-1], deep[-1]]


class Dla34(nn.Module):
    """Backbone, deformable upsampling and the three heads of CenterNet, joined into one head tensor."""

    def __init__(self, width: float, num_classes: int) -> None:
        super().__init__()
        channels = tuple(scaled(c, width) for c in STAGE_CHANNELS)
        inner, stride4, stride8, stride16 = scaled(HEAD_CHANNELS, width), *channels[2:5]
        self.base = Backbone(channels)
        self.dla_up = DeformableDeepUp(channels[2:])
        self.ida_up = DeformableIterativeUp(stride4, ((stride8, 2), (stride16, 4)))
        self.hm = head(stride4, inner, num_classes)
        self.wh = head(stride4, inner, 2)
        self.reg = head(stride4, inner, 2)
        initialise(self.base, *(part for part in self.modules() if isinstance(part, nn.ConvTranspose2d)))
        initialise_heads(self.hm, self.wh, self.reg)

    def forward(self, image: Tensor) -> Tensor:
        """Runs the network.

        Args:
            image: float32 [N, 3, H, W], preprocessed, channels B, G, R; H and W multiples of 32.

        Returns:
            Head tensor, float32 [N, num_classes + 4, H / 4, W / 4]: heatmap logits, box width and height,
            centre offset x and y, the last four in cells of the output grid.
        """
        features = self.ida_up(self.dla_up(self.base(image)))[-1]
        return torch.cat([self.hm(features), self.wh(features), self.reg(features)], 1)
