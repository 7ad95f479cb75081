"""The network is the original's, key for key, shape for shape and number for number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tasks.errors import UnknownNetwork
from tasks.network import build_network
from tasks.network.dla import bilinear_kernel

SHARED_SHAPES = Path(__file__).parents[4] / "shared" / "facts" / "dlav0_state_dict.json"

# SHA-256 of the lines "key:shape" of the published dlav0_34 with heads hm 80, wh 2, reg 2, sorted.
ORIGINAL_DIGEST = "6183ae5d0c6a8dba080e2b3370eeaa36ab013352649c5af63424aeb03f12ee1c"

# xingyizhou/CenterNet a93fdb0, DLASeg("dla34", hm 80, wh 2, reg 2, head_conv 256) with the weights and the input below:
# channels 0, 37, 79 (heatmap), 80, 81 (size), 82, 83 (offset) at row 5, column 7 of both images.
ORIGINAL_OUTPUT = [
    [-0.255088, -0.057234, -2.418920, -0.025858, 0.028615, -0.774430, -0.063726],
    [-0.255196, -0.057989, -2.420949, -0.026231, 0.028713, -0.773770, -0.063856],
]


def _shapes(width: float = 1.0) -> dict[str, list[int]]:
    with torch.device("meta"):
        network = build_network("dlav0_34", width)
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def _fill(network: nn.Module) -> None:
    """Weights from a fixed stream, scaled so that activations neither vanish nor grow."""
    stream = np.random.default_rng(7)
    state = network.state_dict()
    for key in sorted(state):
        if not state[key].is_floating_point():
            continue
        values = stream.standard_normal(tuple(state[key].shape)).astype(np.float32)
        if key.endswith("running_var"):
            values = np.abs(values) + 1
        elif values.ndim == 4:
            values = values / np.float32(np.sqrt(np.prod(values.shape[1:])))
        state[key] = torch.from_numpy(values)
    network.load_state_dict(state)


def test_every_key_and_shape_is_the_originals() -> None:
    lines = "\n".join(sorted(f"{key}:{shape}" for key, shape in _shapes().items()))
    assert hashlib.sha256(lines.encode()).hexdigest() == ORIGINAL_DIGEST


def test_the_shared_list_of_keys_says_the_same() -> None:
    if not SHARED_SHAPES.exists():
        pytest.skip("the list of the original's keys is not beside this checkout")
    assert _shapes() == json.loads(SHARED_SHAPES.read_text())["state_dict"]


def test_with_the_same_weights_the_output_is_the_originals() -> None:
    network = build_network("dlav0_34").eval()
    _fill(network)
    image = np.random.default_rng(3).standard_normal((2, 3, 96, 64)).astype(np.float32)
    with torch.inference_mode():
        heads = network(torch.from_numpy(image))
    assert heads.shape == (2, 84, 24, 16)
    np.testing.assert_allclose(heads[:, [0, 37, 79, 80, 81, 82, 83], 5, 7].numpy(), ORIGINAL_OUTPUT, atol=1e-4)


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_width_scales_every_channel_but_those_of_inputs_and_outputs(width: float) -> None:
    full, narrow = _shapes(), _shapes(width)
    fixed = {3, 80, 2, 1000}
    assert narrow.keys() == full.keys()
    for key, shape in full.items():
        expected = [n if n in fixed or n == 1 else int(n * width) for n in shape[:2]] + shape[2:]
        assert narrow[key] == expected, key


def test_classes_change_the_heatmap_alone() -> None:
    network = build_network("dlav0_34", 0.125, num_classes=20).eval()
    with torch.inference_mode():
        heads = network(torch.zeros(1, 3, 64, 96))
    assert heads.shape == (1, 24, 16, 24)


def test_an_untrained_heatmap_starts_at_the_prior_of_the_focal_loss() -> None:
    network = build_network("dlav0_34", 0.125)
    state = network.state_dict()
    assert torch.all(state["hm.2.bias"] == -2.19)
    assert float(state["wh.2.weight"].abs().max()) < 0.01
    assert torch.all(state["reg.2.bias"] == 0)


def test_untrained_upsampling_keeps_a_ramp_a_ramp() -> None:
    up = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    up.weight.data.copy_(bilinear_kernel(4))
    ramp = torch.arange(6.0).repeat(6, 1)[None, None]
    inner = up(ramp)[0, 0, 3:-3, 3:-3]
    assert torch.allclose(inner.diff(dim=1), torch.full((6, 5), 0.5))
    state = build_network("dlav0_34", 0.125).state_dict()
    kernels = [value for key, value in state.items() if ".up_" in key]
    assert len(kernels) == 6
    assert all(torch.equal(kernel, bilinear_kernel(4).expand_as(kernel)) for kernel in kernels)


def test_a_trace_has_no_control_flow_and_takes_any_batch() -> None:
    network = build_network("dlav0_34", 0.125).eval()
    traced = torch.jit.trace(network, torch.zeros(1, 3, 64, 64))  # type: ignore[no-untyped-call]
    nodes = {node.kind() for node in traced.inlined_graph.nodes()}
    assert not nodes & {"prim::If", "prim::Loop"}
    batch = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 3, 96, 64)).astype(np.float32))
    with torch.inference_mode():
        assert torch.equal(traced(batch), network(batch))


def test_an_unknown_network_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownNetwork, match=r"'resdcn_18'.*dlav0_34"):
        build_network("resdcn_18")


@pytest.mark.parametrize("width", [0.3, 0.0, -1.0, 0.03125])
def test_a_width_without_whole_channels_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="whole number"):
        build_network("dlav0_34", width)


def test_a_detector_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one class"):
        build_network("dlav0_34", 0.125, num_classes=0)
