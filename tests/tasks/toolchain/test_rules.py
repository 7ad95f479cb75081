"""What stays in float is found by structure, and a rule that finds nothing says so."""

from __future__ import annotations

import pytest

from settings.quantize import FloatRule, Recipe
from tasks.errors import GraphError
from tasks.toolchain.graph import parse
from tasks.toolchain.rules import first_convolution, float_layers, heads, tensors, up_sampling
from tests.tasks.toolchain.fakes import DATA

TEXT = (DATA / "three_heads.mlir").read_text()
THREE_HEADS = parse(TEXT)
# %15, of the size head, sampled up instead.
SAMPLED_UP = parse(TEXT.replace('%15 = "top.Conv"', '%15 = "top.Deconv"'))
TAIL = ("16", "62", "84", "106")


def test_the_heads_are_everything_from_where_they_part() -> None:
    assert heads(THREE_HEADS) == ("55", "62", "77", "84", "99", "106", "16")


def test_the_first_convolution_is_the_one_that_reads_the_image() -> None:
    assert first_convolution(THREE_HEADS) == ("input.1",)


def test_what_samples_up_is_found_by_its_kind() -> None:
    assert up_sampling(SAMPLED_UP) == ("77",)


def test_a_tensor_is_in_float_between_the_layer_that_makes_it_and_those_that_read_it() -> None:
    found = tensors(THREE_HEADS)
    assert found["x.1"] == ("input.1",)  # the input is made by no layer
    assert found["input.1"] == ("input.1", "input0.2")
    assert found["input0.2"] == ("input0.2", "55", "77", "99")
    assert found["62"] == ("62", "16")
    assert list(found) == ["x.1", "input.1", "input0.2", "55", "62", "77", "84", "99", "106"]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(), TAIL),
        (Recipe(float_tail=False), ()),
        (Recipe(float_layers=("first-convolution",)), (*TAIL, "input.1")),
        (Recipe(float_layers=("heads",)), (*TAIL, "55", "77", "99")),
        (Recipe(float_tail=False, float_layers=("heads",)), ("55", "62", "77", "84", "99", "106", "16")),
        (Recipe(named=("input0.2", "62")), (*TAIL, "input0.2")),
    ],
)
def test_a_recipe_names_each_layer_once(recipe: Recipe, expected: tuple[str, ...]) -> None:
    assert float_layers(THREE_HEADS, recipe) == expected


@pytest.mark.parametrize("rule", ["up-sampling"])
def test_a_rule_that_finds_nothing_fails_and_says_where_it_comes_from(rule: FloatRule) -> None:
    with pytest.raises(GraphError, match=rf"The rule '{rule}' .* quantize\.escalation"):
        float_layers(THREE_HEADS, Recipe(float_layers=(rule,)))


def test_a_layer_that_the_network_does_not_have_is_refused_and_not_ignored() -> None:
    with pytest.raises(GraphError, match="no layer 'gone', which was to stay in float"):
        float_layers(THREE_HEADS, Recipe(named=("62", "gone")))


def test_without_three_heads_the_rule_of_the_heads_fails() -> None:
    with pytest.raises(GraphError, match="no concatenation"):
        heads(parse(TEXT.replace("top.Concat", "top.Add")))
