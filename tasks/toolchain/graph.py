"""Reading of the compiler's top-level MLIR: enough of it to apply structural rules to the network.

Layer names are the compiler's own and change with the trace, so that a list of names written by hand goes stale without
a word: the compiler ignores names that it does not know. Rules here look for structure and fail when they find none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tasks.errors import GraphError

WEIGHTED = ("top.Conv", "top.Deconv")
"""Kinds of operations that multiply with weights."""

_VALUES = r"%[\w$.-]+(?:, %[\w$.-]+)*"
_OPERATION = re.compile(
    rf'^\s*(?P<results>{_VALUES})(?::(?P<count>\d{{1,3}}))? = "(?P<kind>top\.[\w.]+)"\((?P<operands>[^)]*)\)'
    r".*? : \([^)]*\) -> (?P<types>.+?) loc\((?P<location>.*)\)\s*$",
    re.M,
)
_ALIAS = re.compile(r"^(#loc\d*) = loc\((.*)\)\s*$", re.M)
_RETURN = re.compile(r"^\s*(?:func\.)?return (?P<values>[^:]+) :", re.M)
_WEIGHT_FILE = re.compile(r'module\.weight_file = "([^"]*)"')
_TENSOR = re.compile(r"tensor<((?:\d{1,18}x)*)[^>]*>|none")
# The name of an operation with several results is the first of a fused location (getName in the compiler's Module.cpp).
_LOCATION = re.compile(r'(?:fused(?:<[^>]*>)?\[)?(?:"(?P<name>(?:[^"\\]|\\.)*)"|(?P<alias>#loc\d*))')
_ESCAPE = re.compile(r'\\(?:(?P<hex>[0-9A-Fa-f]{2})|(?P<plain>["\\]))')


# One alias may stand for another; the compiler's stand for one at most, and a ring of them would have no end.
_MOST_ALIASES = 64


class Operation(NamedTuple):
    """One operation of the graph, as one of its results.

    Attributes:
        result: The SSA value, such as `%25`.
        kind: Such as `top.Conv`.
        operands: SSA values in order.
        name: The layer name by which tables refer to the operation; empty where it has none.
        shape: Shape of this result, empty where it is no ranked tensor.
    """

    result: str
    kind: str
    operands: tuple[str, ...]
    name: str
    shape: tuple[int, ...]


class Graph(NamedTuple):
    """A top-level MLIR module.

    Attributes:
        operations: By SSA value, in the order of the text.
        outputs: SSA values that the function returns.
        weight_file: Name of the weight archive, relative to where the compiler runs.
    """

    operations: dict[str, Operation]
    outputs: tuple[str, ...]
    weight_file: str

    @property
    def inputs(self) -> tuple[Operation, ...]:
        """The input operations."""
        return tuple(operation for operation in self.operations.values() if operation.kind == "top.Input")

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of what the function returns; empty for one that no operation makes."""
        made = (self.operations.get(value) for value in self.outputs)
        return tuple(operation.shape if operation else () for operation in made)

    @property
    def layer_names(self) -> frozenset[str]:
        """Every layer name that a quantize table may hold."""
        layers = (op for op in self.operations.values() if op.kind not in ("top.Weight", "top.None", "top.Input"))
        return frozenset(op.name for op in layers if op.name)


def parse(text: str) -> Graph:
    """Read a top-level MLIR module.

    Args:
        text: The file's text, as the compiler writes it.

    Returns:
        The graph.

    Raises:
        GraphError: It is not such a module, or its form is not the known one.
    """
    aliases = dict(_ALIAS.findall(text))
    operations: dict[str, Operation] = {}
    lines = list(_OPERATION.finditer(text))
    written = text.count(' = "top.')
    if len(lines) != written:
        raise GraphError(
            f"The compiler's MLIR has not the known form: {len(lines)} of {written} operations were read. Correct the "
            "reading in tasks/toolchain/graph.py for this release."
        )
    for found in lines:
        results = _results(found["results"], found["count"])
        shapes = [_shape(tensor) for tensor in _TENSOR.finditer(found["types"])]
        if len(shapes) != len(results):
            raise GraphError(f"The compiler's MLIR has not the known form: {results} are {found['types']}.")
        operands = tuple(part.strip() for part in found["operands"].split(",") if part.strip())
        name = _layer_name(found["location"], aliases)
        for result, shape in zip(results, shapes, strict=True):
            operations[result] = Operation(result, found["kind"], operands, name, shape)
    returned = _RETURN.search(text)
    if not operations or returned is None:
        raise GraphError("The compiler's MLIR has not the known form: no operations or no return were found in it.")
    outputs = tuple(value.strip() for value in returned["values"].split(","))
    return Graph(operations, outputs, weight_file(text))


def weight_file(text: str) -> str:
    """Read the name by which a module of any dialect refers to its weight archive.

    Raises:
        GraphError: It names none.
    """
    found = _WEIGHT_FILE.search(text)
    if found is None:
        raise GraphError("The compiler's MLIR has not the known form: it names no weight file.")
    return found[1]


def head_tail(graph: Graph, heads: int = 3) -> tuple[str, ...]:
    """Find the layers that must stay in float: the final concatenation and the last convolution of each head.

    The concatenation forces one int8 scale upon heatmap, size and offset. What is small among them dies, while the
    cosine of the whole output stays at 0.999.

    Args:
        graph: The network.
        heads: How many heads the concatenation joins.

    Returns:
        Layer names: the concatenation first, then the convolutions in the order of the heads.

    Raises:
        GraphError: The network does not end in a concatenation of that many convolutions.
    """
    if len(graph.outputs) != 1:
        raise GraphError(f"The rule for the heads needs one output, the network has {len(graph.outputs)}.")
    last = graph.operations.get(graph.outputs[0])
    if last is None or last.kind != "top.Concat":
        kind = last.kind if last else "an argument"
        raise GraphError(f"The rule for the heads finds no concatenation at the end of the network, but {kind}.")
    joined = [graph.operations.get(value) for value in last.operands]
    convolutions = [operation for operation in joined if operation is not None and operation.kind == "top.Conv"]
    if len(convolutions) != len(joined) or len(convolutions) != heads:
        kinds = ", ".join(f"{op.name} ({op.kind})" if op else "an argument" for op in joined)
        raise GraphError(
            f"The rule for the heads expects {heads} convolutions before the final concatenation, found {kinds}. The "
            "network or the compiler's graph rewriting changed; correct the rule."
        )
    return (last.name, *(op.name for op in convolutions))


def filters(graph: Graph, layers: tuple[str, ...]) -> tuple[str, ...]:
    """Name the weight arrays that some layers multiply with, their biases left out.

    Args:
        graph: The network.
        layers: Layer names; what is of another kind than WEIGHTED has none.

    Returns:
        Names in the weight archive.

    Raises:
        GraphError: What such a layer multiplies with is no array of the archive.
    """
    weighted = [one for one in graph.operations.values() if one.name in layers and one.kind in WEIGHTED]
    found = [graph.operations.get(one.operands[1]) if len(one.operands) > 1 else None for one in weighted]
    weights = [one.name for one in found if one is not None and one.kind == "top.Weight" and one.name]
    if len(weights) != len(weighted):
        raise GraphError(f"The compiler's MLIR has not the known form: of {', '.join(layers)} some have no weights.")
    return tuple(weights)


def quantize_table(graph: Graph, layers: tuple[str, ...], mode: str) -> str:
    """Write a quantize table.

    Args:
        graph: The network that the names must be of.
        layers: Layer names to keep.
        mode: `F16`, or `F32` on BM1684, which has no fp16.

    Returns:
        The table's text, one `name mode` a line.

    Raises:
        GraphError: A name is not a layer of the network; the compiler would ignore it and exit 0.
    """
    unknown = sorted(repr(name) for name in set(layers) - graph.layer_names)
    if unknown:
        raise GraphError(f"The quantize table names layers that the network does not have: {', '.join(unknown)}.")
    spaced = [name for name in layers if len(name.split()) != 1]
    if spaced:
        raise GraphError(f"The quantize table cannot hold a name with a space in it: {spaced[0]!r}.")
    return "".join(f"{name} {mode}\n" for name in layers)


def _results(values: str, count: str | None) -> list[str]:
    names = values.split(", ")
    return names if count is None else [f"{names[0]}#{index}" for index in range(int(count))]


def _shape(tensor: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(side) for side in (tensor[1] or "").split("x") if side)


def _layer_name(location: str, aliases: dict[str, str]) -> str:
    for _ in range(_MOST_ALIASES):
        found = _LOCATION.match(location)
        if found is None:
            break
        if found["name"] is not None:
            return _ESCAPE.sub(lambda part: part["plain"] or chr(int(part["hex"], 16)), found["name"])
        location = aliases.get(found["alias"], "")
    return ""
