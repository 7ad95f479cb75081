"""Layers in float by rule and by experiment, with the real compiler: what is kept was asked for, and it helps."""

from __future__ import annotations

import numpy as np
import pytest

from artifacts.release import Variant
from settings.quantize import Recipe
from tasks.compile import compile_variant, lower
from tasks.distance import head_distances
from tasks.records import Compiled, Lowered
from tasks.sensitivity import find_sensitive
from tasks.toolchain import graph, rules
from tasks.validate import interpreter, torchscript_of
from tests.e2e.conftest import SETTINGS, SPEC, Tiny

pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

CHIPS = ("BM1684", "BM1684X", "BM1688")
HEADS, TAIL = Recipe(float_layers=("first-convolution", "heads")), Recipe()


def int8(chip: str) -> Variant:
    return Variant.model_validate({"chip": chip, "precision": "int8", "batch": 1})


def lowered(tiny: Tiny, chip: str, recipe: Recipe) -> Lowered:
    made: Lowered = lower.fn(
        int8(chip), tiny.model, tiny.table, recipe, tiny.toolchain, SETTINGS.driving, tiny.workspace
    )
    return made


def noise(tiny: Tiny, chip: str, recipe: Recipe) -> dict[str, float]:
    """Signal to noise of each head against the TorchScript, decibel."""
    wanted = torchscript_of(tiny.traced, tiny.workspace)(tiny.sample)
    limit = SETTINGS.timeouts.interpret
    with interpreter(lowered(tiny, chip, recipe), "test", tiny.toolchain, limit, tiny.workspace) as infer:
        return {head: far.snr_db for head, far in head_distances(wanted, infer(tiny.sample)).items()}


@pytest.mark.parametrize("chip", CHIPS)
def test_what_the_rules_keep_in_float_is_float_in_the_compilers_network(tiny: Tiny, chip: str) -> None:
    made = lowered(tiny, chip, HEADS)
    network = graph.parse(tiny.workspace.content.verified(tiny.model.mlir).read_text())
    assert made.quantized and set(made.quantized.float_layers) == {
        *rules.heads(network),
        *rules.first_convolution(network),
    }
    text = tiny.workspace.content.verified(made.mlir).read_text()
    convolutions = [line for line in text.splitlines() if '"tpu.Conv2D"' in line]
    # Of eight convolutions only the second of the trunk is left in int8.
    assert len(convolutions) == 8 and sum("quant.uniform" in line.rpartition("->")[2] for line in convolutions) <= 2
    before, after = noise(tiny, chip, TAIL), noise(tiny, chip, HEADS)
    # The layer that is left in int8 still limits the small heads.
    assert all(after[head] > before[head] for head in after), (before, after)


def test_a_bmodel_with_more_layers_in_float_says_which(tiny: Tiny) -> None:
    job = (tiny.model, tiny.table, HEADS, tiny.toolchain, SETTINGS.driving, tiny.workspace)
    made: Compiled = compile_variant.fn(int8("BM1688"), *job)
    assert made.quantized and len(made.quantized.float_layers) == 8
    assert (made.quantized.method, made.quantized.table) == ("kl", tiny.table.table.digest)


def test_the_tensor_that_is_worth_most_is_found_and_keeping_it_helps(tiny: Tiny) -> None:
    job = (tiny.traced, tiny.images, SPEC, tiny.toolchain, SETTINGS.driving, tiny.workspace)
    found = find_sensitive.fn(int8("BM1688"), tiny.model, tiny.table, TAIL, *job)
    network = graph.parse(tiny.workspace.content.verified(tiny.model.mlir).read_text())
    kept = set(rules.float_layers(network, TAIL))
    tried = {name for name, layers in rules.tensors(network).items() if not set(layers) <= kept}
    assert {one.tensor for one in found.tensors} == tried
    worth = [one.worth for one in found.tensors]
    assert worth[0] > 0.05 and worth == sorted(worth, reverse=True)
    before, after = (noise(tiny, "BM1688", recipe) for recipe in (TAIL, Recipe(named=found.layers(1))))
    assert np.mean([after[head] - before[head] for head in after]) > 0
