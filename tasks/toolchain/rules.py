"""Which layers of an int8 network stay in float, by the structure of the network and never by names written down.

A rule that finds nothing fails: the network, the trace or the compiler's rewriting of the graph changed, and the
compiler itself would take a table of names that no longer exist without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from settings.quantize import FloatRule, Recipe
from tasks.errors import GraphError
from tasks.toolchain.graph import Graph, Operation, head_tail

_NO_LAYERS = ("top.Weight", "top.None", "top.Input")


def float_layers(graph: Graph, recipe: Recipe) -> tuple[str, ...]:
    """Resolve a recipe to the compiler's layer names.

    Args:
        graph: The network that the names are to be of.
        recipe: What stays in float.

    Returns:
        Layer names, each once: the tail of the heads, then rule by rule, then those that the recipe names.

    Raises:
        GraphError: A rule finds nothing, or a name is not a layer of this network.
    """
    found = list(head_tail(graph)) if recipe.float_tail else []
    for rule in recipe.float_layers:
        layers = _RULES[rule](graph)
        if not layers:
            raise GraphError(
                f"The rule {rule!r} of what stays in float finds no layer in this network. Take it out of "
                "quantize.float_layers or quantize.escalation, or correct it in tasks/toolchain/rules.py."
            )
        found += layers
    unknown = sorted(set(recipe.named) - graph.layer_names)
    if unknown:
        raise GraphError(
            f"The network has no layer {', '.join(map(repr, unknown))}, which was to stay in float: its form for "
            "another batch size has other names. Leave most_sensitive out of quantize.escalation."
        )
    return tuple(dict.fromkeys([*found, *recipe.named]))


def tensors(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Find for each tensor inside the network the layers between which it would have to be in float.

    A layer in float alone changes little: what it reads and what it makes are in int8 all the same. A tensor is in
    float when the layer that makes it and all that read it are.

    Args:
        graph: The network.

    Returns:
        By the name of the layer that makes the tensor, or of the input: this layer, where it is one, and the layers
        that read it; in the order of the network. What the network returns is none of them.
    """
    readers: dict[str, list[Operation]] = {}
    for one in _layers(graph):
        for value in one.operands:
            readers.setdefault(value, []).append(one)
    made = [one for one in graph.operations.values() if one.kind not in ("top.Weight", "top.None")]
    return {
        one.name: _named([*([] if one.kind == "top.Input" else [one]), *readers[one.result]])
        for one in made
        if one.name and one.result in readers
    }


def first_convolution(graph: Graph) -> tuple[str, ...]:
    """Find the convolutions that read the image."""
    inputs = {one.result for one in graph.inputs}
    return _named(
        one for one in _layers(graph) if one.kind == "top.Conv" and one.operands[:1] and one.operands[0] in inputs
    )


def up_sampling(graph: Graph) -> tuple[str, ...]:
    """Find the transposed convolutions."""
    return _named(one for one in _layers(graph) if one.kind == "top.Deconv")


def heads(graph: Graph) -> tuple[str, ...]:
    """Find everything from where the heads part to the final concatenation.

    Raises:
        GraphError: The network does not end in the concatenation of three convolutions.
    """
    head_tail(graph)
    last = graph.operations[graph.outputs[0]]
    behind = [_upstream(graph, value) for value in last.operands]
    shared = set.intersection(*behind)
    own = set.union(*behind) - shared
    return _named(one for one in _layers(graph) if one.result in own or one.result == last.result)


_RULES: dict[FloatRule, Callable[[Graph], tuple[str, ...]]] = {
    "first-convolution": first_convolution,
    "up-sampling": up_sampling,
    "heads": heads,
}


def _layers(graph: Graph) -> list[Operation]:
    return [one for one in graph.operations.values() if one.kind not in _NO_LAYERS]


def _named(operations: Iterable[Operation]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in operations if one.name))


def _upstream(graph: Graph, value: str) -> set[str]:
    """An operation and everything that it is made from, as SSA values."""
    seen: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        operation = graph.operations.get(one)
        if one in seen or operation is None or operation.kind in _NO_LAYERS:
            continue
        seen.add(one)
        waiting += operation.operands
    return seen
