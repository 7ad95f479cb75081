"""The CenterNet networks in torch, and the reading of their checkpoints."""

from __future__ import annotations

from torch import nn

from tasks.errors import UnknownNetwork
from tasks.network.dla import DlaV0
from tasks.network.dla_dcn import Dla34

NETWORKS = {"dlav0_34": DlaV0, "dla_34": Dla34}


def build_network(name: str, width: float = 1.0, num_classes: int = 80) -> nn.Module:
    """Builds an untrained CenterNet network whose state_dict has the keys and shapes of the original.

    Args:
        name: architecture; `dlav0_34`, or `dla_34` with its deformable convolutions (Zhou et al. 2019, arXiv
            1904.07850).
        width: factor on every channel count; 1.0 is the original.
        num_classes: heatmap channels.

    Returns:
        Module in training mode; float32 [N, 3, H, W] to the head tensor float32 [N, num_classes + 4, H / 4, W / 4].

    Raises:
        UnknownNetwork: no network of that name.
        ValueError: the width gives a fractional channel count, or there is no class.
    """
    if name not in NETWORKS:
        raise UnknownNetwork(name, tuple(NETWORKS))
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; a detector needs at least one class")
    return NETWORKS[name](width, num_classes)
