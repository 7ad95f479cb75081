"""The network with deformable convolutions is the original's, key for key, shape for shape and number for number."""

from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from settings.sections import NetworkSettings
from tasks.network import NETWORKS, build_network
from tasks.network.dla import bilinear_kernel
from tasks.network.dla_dcn import DeformableConv
from tests.tasks.network.weights import fill

# The structure of DLASeg("dla34", heads hm 80, wh 2, reg 2) in pose_dla_dcn.py of xingyizhou/CenterNet at 4c50fd3: how
# many entries, and SHA-256 of the lines "key:shape", sorted.
ORIGINAL_ENTRIES = 400
ORIGINAL_DIGEST = "6089e40fb960c6ce1d923ae1e989ad7d5838b7fddbb7ccdcdefd16f439dfaf4a"
ORIGINAL_BLOCKS = {
    "dla_up.ida_0": {1: (512, 256, 2)},
    "dla_up.ida_1": {1: (256, 128, 2), 2: (256, 128, 2)},
    "dla_up.ida_2": {1: (128, 64, 2), 2: (128, 64, 2), 3: (128, 64, 2)},
    "ida_up": {1: (128, 64, 2), 2: (256, 64, 4)},
}

# The same, with its DCN made of torchvision 0.26's deform_conv2d, with the weights of `fill` and the input below:
# channels 0, 37, 79 (heatmap), 80, 81 (size), 82, 83 (offset) of both images in the middle and in the last corner. The
# offsets of its layers spread by 0.3 to 11 cells.
ORIGINAL_OUTPUT = {
    (5, 7): [
        [-0.007471, 0.061357, 0.113694, -0.413821, 0.099028, 0.143326, -0.491052],
        [-0.061128, -0.106103, -0.031338, -0.342571, -0.004050, 0.181604, -0.487084],
    ],
    (23, 15): [
        [-0.238723, 0.039705, -0.151685, -0.141053, 0.134811, 0.211708, -0.209498],
        [-0.242243, 0.029325, -0.163672, -0.126827, 0.126247, 0.184786, -0.218740],
    ],
}


def _shapes(width: float = 1.0) -> dict[str, list[int]]:
    with torch.device("meta"):
        network = build_network("dla_34", width)
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def _original_upsampling() -> dict[str, list[int]]:
    """Keys and shapes between backbone and heads, from the original's structure."""
    expected: dict[str, list[int]] = {}
    for place, steps in ORIGINAL_BLOCKS.items():
        for step, (channels_in, channels_out, factor) in steps.items():
            expected[f"{place}.up_{step}.weight"] = [channels_out, 1, 2 * factor, 2 * factor]
            for block, inner in ((f"{place}.proj_{step}", channels_in), (f"{place}.node_{step}", channels_out)):
                for part in ("weight", "bias", "running_mean", "running_var"):
                    expected[f"{block}.actf.0.{part}"] = [channels_out]
                expected[f"{block}.actf.0.num_batches_tracked"] = []
                expected[f"{block}.conv.weight"] = [channels_out, inner, 3, 3]
                expected[f"{block}.conv.bias"] = [channels_out]
                expected[f"{block}.conv.conv_offset_mask.weight"] = [27, inner, 3, 3]
                expected[f"{block}.conv.conv_offset_mask.bias"] = [27]
    return expected


def test_every_key_and_shape_is_the_originals() -> None:
    shapes = _shapes()
    upsampling = {key: shape for key, shape in shapes.items() if key.startswith(("dla_up.", "ida_up."))}
    assert upsampling == _original_upsampling()
    assert len(shapes) == ORIGINAL_ENTRIES
    lines = "\n".join(sorted(f"{key}:{shape}" for key, shape in shapes.items()))
    assert hashlib.sha256(lines.encode()).hexdigest() == ORIGINAL_DIGEST


def test_with_the_same_weights_the_output_is_the_originals() -> None:
    network = build_network("dla_34").eval()
    fill(network)
    image = np.random.default_rng(3).standard_normal((2, 3, 96, 64)).astype(np.float32)
    with torch.inference_mode():
        heads = network(torch.from_numpy(image))
    assert heads.shape == (2, 84, 24, 16)
    for (row, column), expected in ORIGINAL_OUTPUT.items():
        found = heads[:, [0, 37, 79, 80, 81, 82, 83], row, column].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_width_scales_every_channel_but_those_of_inputs_offsets_and_outputs() -> None:
    full, narrow = _shapes(), _shapes(0.25)
    fixed = {1, 2, 3, 27, 80, 1000}
    assert narrow.keys() == full.keys()
    for key, shape in full.items():
        assert narrow[key] == [n if n in fixed else n // 4 for n in shape[:2]] + shape[2:], key


def test_untrained_it_reads_where_a_regular_convolution_does_at_half_strength() -> None:
    layer = DeformableConv(4, 6)
    features = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4, 5, 7)).astype(np.float32))
    regular = nn.functional.conv2d(features, layer.weight, padding=1) / 2
    assert torch.allclose(layer(features), regular, atol=1e-6)


def test_untrained_upsampling_interpolates_and_the_heatmap_starts_at_the_prior() -> None:
    state = build_network("dla_34", 0.125).state_dict()
    kernels = {key: value for key, value in state.items() if ".up_" in key or key.startswith("ida_up.up_")}
    assert sorted(value.shape[-1] for value in kernels.values()) == [4] * 7 + [8]
    assert all(torch.equal(kernel, bilinear_kernel(kernel.shape[-1]).expand_as(kernel)) for kernel in kernels.values())
    assert torch.all(state["hm.2.bias"] == -2.19)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_trace_holds_one_operator_of_the_compilers_for_each_and_takes_any_batch() -> None:
    network = build_network("dla_34", 0.125).eval()
    fill(network)
    traced = torch.jit.trace(network, torch.zeros(1, 3, 64, 64))  # type: ignore[no-untyped-call]
    kinds = [node.kind() for node in traced.inlined_graph.nodes()]
    assert kinds.count("torchvision::deform_conv2d") == 16
    assert not {"prim::If", "prim::Loop", "aten::embedding_bag"} & set(kinds)
    batch = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 3, 96, 64)).astype(np.float32))
    with torch.inference_mode():
        assert torch.equal(traced(batch), network(batch))


def test_the_settings_offer_the_networks_that_can_be_built() -> None:
    assert get_args(NetworkSettings.model_fields["name"].annotation) == tuple(NETWORKS)
