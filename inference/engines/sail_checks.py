"""What sail says of a loaded model, held against what the file says of itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Tuple

from artifacts.bmodel import BmodelInfo, TensorInfo
from inference.engines.base import check_single
from inference.engines.stored import SCALED
from inference.errors import ModelError

_INPUT_DTYPES = ("float32", "int8", "uint8")
_OUTPUT_DTYPES = ("float32", "float16", *SCALED)
_UNSCALED = ("float32", "float16")


def described_by(engine: Any, path: Path) -> Tuple[str, TensorInfo, TensorInfo]:
    """Ask the engine for the graph's name, its input and its output.

    Raises:
        ModelError: There is not one of each.
    """
    graphs = list(engine.get_graph_names())
    inputs = [name for graph in graphs for name in engine.get_input_names(graph)]
    outputs = [name for graph in graphs for name in engine.get_output_names(graph)]
    check_single(path, len(graphs), len(inputs), len(outputs))
    (graph,), (given,), (made,) = graphs, inputs, outputs
    return (
        graph,
        TensorInfo(
            name=given,
            dtype=_dtype_name(engine.get_input_dtype(graph, given)),
            shape=tuple(engine.get_input_shape(graph, given)),
            scale=float(engine.get_input_scale(graph, given)),
        ),
        TensorInfo(
            name=made,
            dtype=_dtype_name(engine.get_output_dtype(graph, made)),
            shape=tuple(engine.get_output_shape(graph, made)),
            scale=float(engine.get_output_scale(graph, made)),
        ),
    )


def _dtype_name(dtype: Any) -> str:
    """``float32`` of ``sail.Dtype.BM_FLOAT32``."""
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    return (name[3:] if name.startswith("BM_") else name).lower()


def check_against_file(graph: str, given: TensorInfo, made: TensorInfo, file: BmodelInfo, path: Path) -> None:
    """Refuse a model that the runtime understands otherwise than the file says.

    Raises:
        ModelError: It does.
    """
    stage = file.nets[0].stages[0]
    pairs = [("the network's name", graph, file.nets[0].name)]
    for what, said, written in (("input", given, stage.inputs[0]), ("output", made, stage.outputs[0])):
        pairs += [(f"the {what}'s name", said.name, written.name)]
        pairs += [(f"the {what}'s type", said.dtype, written.dtype)]
        pairs += [(f"the {what}'s shape", str(list(said.shape)), str(list(written.shape)))]
        if said.dtype not in _UNSCALED and not math.isclose(said.scale, written.scale, rel_tol=1e-6):
            pairs += [(f"the {what}'s scale", f"{said.scale:.9g}", f"{written.scale:.9g}")]
    wrong = [f"{what} is {said} to sail and {written} in the file" for what, said, written in pairs if said != written]
    if wrong:
        raise ModelError(
            f"sail understands {path} otherwise than it is written: {'; '.join(wrong)}. The runtime does not fit the "
            "compiler that made the model: update libsophon and sophon-sail together",
            path,
        )


def check_types(given: TensorInfo, made: TensorInfo, file: BmodelInfo, path: Path) -> None:
    """Refuse an input that sail cannot feed, and an output that it cannot read back.

    Raises:
        ModelError: It is one of these.
    """
    stage = file.nets[0].stages[0]
    remedy = "feed: compile it with a float32 input, or with the preprocessing fused (uint8)"
    for tensor, written, known, does, cannot in (
        (given, stage.inputs[0], _INPUT_DTYPES, "takes", remedy),
        (made, stage.outputs[0], _OUTPUT_DTYPES, "gives", "read back: compile it with a float32 output"),
    ):
        scalable = tensor.dtype in _UNSCALED or (written.zero_point == 0 and tensor.scale > 0)
        if tensor.dtype not in known or not scalable:
            raise ModelError(
                f"{path} {does} {tensor.dtype} with scale {tensor.scale:g} and zero point {written.zero_point}, which "
                f"sail cannot {cannot}",
                path,
            )
