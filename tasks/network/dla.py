"""CenterNet's dlav0_34: DLA-34 and its upsampling, without deformable convolutions; `dla_dcn` has it with them.

Module names follow the state_dict of the published weights, so that a checkpoint loads without renaming.

Sources:
    Zhou, Wang, Krähenbühl, "Objects as Points", 2019, arXiv 1904.07850 (heads, stride, heatmap bias).
    Yu, Wang, Shelhamer, Darrell, "Deep Layer Aggregation", CVPR 2018, arXiv 1707.06484 (backbone, upsampling).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

OUTPUT_STRIDE = 4
HEAD_CHANNELS = 256
IMAGENET_CLASSES = 1000
STAGE_CHANNELS = (16, 32, 64, 128, 256, 512)

# sigmoid(-2.19) = 0.1: the prior of the focal loss (Lin et al. 2017, section 4.1), as CenterNet sets it.
HEATMAP_BIAS = -2.19


def _conv_norm_relu(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut that the caller supplies."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor, shortcut: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


class Root(nn.Module):
    """Aggregation node: a 1x1 convolution over everything that a tree hands to its root."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, *branches: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(torch.cat(branches, 1))))


class ShallowTree(nn.Module):
    """Aggregation tree of depth one: two residual blocks under one root.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: 1, or 2 to halve the resolution.
        carried: channels that the root takes beside the two blocks.
        carry_input: the (pooled) input itself goes to the root; counted in `carried`.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, carried: int = 0, carry_input: bool = False
    ) -> None:
        super().__init__()
        self.tree1 = ResidualBlock(channels_in, channels_out, stride)
        self.tree2 = ResidualBlock(channels_out, channels_out)
        self.root = Root(2 * channels_out + carried, channels_out)
        self.pool = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.project = _projection(channels_in, channels_out) if channels_in != channels_out else nn.Identity()
        self.carry_input = carry_input

    def forward(self, features: Tensor, carried: tuple[Tensor, ...] = ()) -> Tensor:
        bottom = self.pool(features)
        if self.carry_input:
            carried = (bottom, *carried)
        first = self.tree1(features, self.project(bottom))
        second = self.tree2(first, first)
        merged: Tensor = self.root(second, first, *carried)
        return merged


class DeepTree(nn.Module):
    """Aggregation tree of depth two; its second half roots the pooled input and the first half's output too."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.tree1 = ShallowTree(channels_in, channels_out, stride=2)
        self.tree2 = ShallowTree(channels_out, channels_out, stride=1, carried=channels_in + channels_out)
        # Part of the published state_dict; its output reaches no other node in the original either.
        self.project = _projection(channels_in, channels_out)
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, features: Tensor) -> Tensor:
        first = self.tree1(features)
        merged: Tensor = self.tree2(first, (self.pool(features), first))
        return merged


def _projection(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))


class Backbone(nn.Module):
    """DLA-34 up to stride 32."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        stem, half, quarter, eighth, sixteenth, last = channels
        self.base_layer = _conv_norm_relu(3, stem, 7)
        self.level0 = _conv_norm_relu(stem, stem, 3)
        self.level1 = _conv_norm_relu(stem, half, 3, stride=2)
        self.level2 = ShallowTree(half, quarter, stride=2)
        self.level3 = DeepTree(quarter, eighth)
        self.level4 = DeepTree(eighth, sixteenth)
        self.level5 = ShallowTree(sixteenth, last, stride=2, carried=sixteenth, carry_input=True)
        # The ImageNet classifier stays in the published state_dict; detection never runs it.
        self.fc = nn.Conv2d(last, IMAGENET_CLASSES, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.level1(self.level0(self.base_layer(image)))
        stride4 = self.level2(fine)
        stride8 = self.level3(stride4)
        stride16 = self.level4(stride8)
        return [stride4, stride8, stride16, self.level5(stride16)]


class IterativeUp(nn.Module):
    """Brings deeper feature maps, each of twice the channels, up to the shallowest one and merges them one by one.

    Args:
        channels: channels of the shallowest map and of the result.
        depth: how many deeper maps come in.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        for i in range(1, depth + 1):
            self.add_module(f"proj_{i}", _conv_norm_relu(2 * channels, channels, 1))
            self.add_module(f"up_{i}", enlarging(channels, 2))
        for i in range(1, depth + 1):
            self.add_module(f"node_{i}", _conv_norm_relu(2 * channels, channels, 3))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        merged = [maps[0]]
        for i in range(1, self.depth + 1):
            raised = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(maps[i]))
            merged.append(self.get_submodule(f"node_{i}")(torch.cat([merged[-1], raised], 1)))
        return merged[1:]


class DeepUp(nn.Module):
    """Upsampling pyramid: merges from the deepest pair outwards until one map at stride 4 is left."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.ida_0 = IterativeUp(channels[2], 1)
        self.ida_1 = IterativeUp(channels[1], 2)
        self.ida_2 = IterativeUp(channels[0], 3)

    def forward(self, maps: list[Tensor]) -> Tensor:
        stride4, stride8, stride16, stride32 = maps
        deep = self.ida_0([stride16, stride32])
        middle = self.ida_1([stride8, stride16, *deep])
        finest: Tensor = self.ida_2([stride4, stride8, *middle])[-1]
        return finest


class DlaV0(nn.Module):
    """Backbone, upsampling and the three heads of CenterNet, joined into one head tensor."""

    def __init__(self, width: float, num_classes: int) -> None:
        super().__init__()
        channels = tuple(scaled(c, width) for c in STAGE_CHANNELS)
        inner = scaled(HEAD_CHANNELS, width)
        self.base = Backbone(channels)
        self.dla_up = DeepUp(channels[2:])
        self.hm = head(channels[2], inner, num_classes)
        self.wh = head(channels[2], inner, 2)
        self.reg = head(channels[2], inner, 2)
        initialise(self.base, self.dla_up)
        initialise_heads(self.hm, self.wh, self.reg)

    def forward(self, image: Tensor) -> Tensor:
        """Runs the network.

        Args:
            image: float32 [N, 3, H, W], preprocessed, channels B, G, R; H and W multiples of 32.

        Returns:
            Head tensor, float32 [N, num_classes + 4, H / 4, W / 4]: heatmap logits, box width and height,
            centre offset x and y, the last four in cells of the output grid.
        """
        features = self.dla_up(self.base(image))
        return torch.cat([self.hm(features), self.wh(features), self.reg(features)], 1)


def head(channels_in: int, inner: int, channels_out: int) -> nn.Sequential:
    """Builds one head: a 3x3 convolution, and a 1x1 one that gives its result."""
    return nn.Sequential(
        nn.Conv2d(channels_in, inner, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(inner, channels_out, 1)
    )


def scaled(channels: int, width: float) -> int:
    """Scales a channel count of the original.

    Raises:
        ValueError: it gives no whole number of at least one.
    """
    result = channels * width
    if result < 1 or result != int(result):
        raise ValueError(
            f"width {width} turns {channels} channels into {result}, which is not a whole number of at least one; "
            "take a width such as 1.0, 0.5, 0.25 or 0.125"
        )
    return int(result)


def enlarging(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Builds the upsampling of every channel by itself, by an even factor."""
    return nn.ConvTranspose2d(
        channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels, bias=False
    )


def bilinear_kernel(size: int) -> Tensor:
    """Kernel with which a transposed convolution of stride `size / 2` interpolates linearly.

    Args:
        size: even kernel size in cells.

    Returns:
        float32 [size, size], separable and symmetric.
    """
    positions = torch.arange(size, dtype=torch.float32)
    slope = 1 - (positions - (size - 1) / 2).abs() / (size / 2)
    return torch.outer(slope, slope)


def initialise(*parts: nn.Module) -> None:
    """Gives a trunk its start values: He by fan-out, and upsampling that interpolates linearly."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.ConvTranspose2d):
                module.weight.data.copy_(bilinear_kernel(module.kernel_size[0]))
            elif isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))


def initialise_heads(heatmap: nn.Sequential, *others: nn.Sequential) -> None:
    """Gives the heads their start values: the prior in the heatmap, sizes and offsets near zero."""
    for head in others:
        for module in head.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.normal_(module.weight, std=0.001)
                nn.init.zeros_(module.bias)
    final = heatmap[-1]
    if isinstance(final, nn.Conv2d) and final.bias is not None:
        nn.init.constant_(final.bias, HEATMAP_BIAS)
