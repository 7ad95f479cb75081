"""`tasks.toolchain.graph` and `rules`: the compiler's MLIR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import GraphError
from tasks.toolchain import graph, rules

_SAMPLES = Path(__file__).parents[2] / "tasks" / "toolchain" / "data"


def target(data: bytes) -> None:
    """Read it, and apply every rule to what is accepted."""
    try:
        read = graph.parse(data.decode("utf-8", "replace"))
    except GraphError:
        return
    assert read.outputs and read.operations
    _ = read.inputs, read.output_shapes
    found = rules.tensors(read)
    works: list[Callable[[], object]] = [
        lambda: graph.head_tail(read),
        lambda: rules.first_convolution(read),
        lambda: rules.up_sampling(read),
        lambda: rules.heads(read),
        lambda: graph.filters(read, tuple(read.layer_names)),
        lambda: graph.quantize_table(read, tuple(sorted(read.layer_names)), "F16"),
    ]
    for work in works:
        try:
            work()
        except GraphError:
            continue
    assert all(isinstance(name, str) for name in found)


def seeds() -> Iterator[bytes]:
    """What the compiler wrote for two small networks."""
    for path in sorted(_SAMPLES.glob("*.mlir")):
        yield path.read_bytes()
