"""Weights from a fixed stream, for comparing a network with the original's."""

from __future__ import annotations

import numpy as np
from torch import nn, tensor


def fill(network: nn.Module) -> None:
    """Give every weight a value such that what the network gives depends on what it is given.

    Convolutions keep the size of what passes through them, norms are near the identity, biases small.
    """
    stream = np.random.default_rng(7)
    state = network.state_dict()
    for key in sorted(state):
        if not state[key].is_floating_point():
            continue
        values = stream.standard_normal(tuple(state[key].shape))
        if key.endswith("running_var"):
            values = 1 + 0.1 * np.abs(values)
        elif values.ndim == 4:
            values = values * np.sqrt(2 / np.prod(values.shape[1:]))
        elif key.endswith((".bn.weight", "bn1.weight", "bn2.weight", "actf.0.weight", ".1.weight")):
            values = 1 + 0.1 * values
        else:
            values = 0.1 * values
        state[key] = tensor(values.astype(np.float32))
    network.load_state_dict(state)
