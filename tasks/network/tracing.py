"""Tracing a network to TorchScript, the same bytes on every machine."""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from collections.abc import Iterator

import numpy as np
import torch

from tasks.errors import TraceError

MAX_DIFFERENCE = 1e-5
_CONTROL_FLOW = ("prim::If", "prim::Loop")
# torch.jit.save writes where the source lay on this machine into the first, and a number made from it into the second;
# a module loads without them.
_MACHINE_DEPENDENT = (".debug_pkl", "/.data/serialization_id")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_tracing = threading.Lock()


def traced_bytes(
    module: torch.nn.Module, shape: tuple[int, int, int, int]
) -> tuple[bytes, float, tuple[int, int, int, int]]:
    """Trace a network and check the trace against it.

    Args:
        module: The network, with its weights.
        shape: Input shape [N, C, H, W].

    Returns:
        The TorchScript file's bytes, the same for the same network on every machine; the largest absolute difference
        to the eager network; the output's shape [N, C, h, w].

    Raises:
        TraceError: The trace holds control flow or does not compute what the network computes.
    """
    module.eval()
    generator = np.random.default_rng(0)
    inputs = [torch.from_numpy(generator.standard_normal(shape, dtype=np.float32)) for _ in range(2)]
    with torch.no_grad(), _names_of_a_fresh_process():
        script = torch.jit.trace(module, inputs[0], check_trace=False)  # type: ignore[no-untyped-call]
        refuse_control_flow(script)
        # The second input was not traced: what the trace froze by mistake shows in it.
        outputs = [script(x) for x in inputs]
        apart = [(output - module(x)).abs().max() for output, x in zip(outputs, inputs, strict=True)]
        difference, output_shape = float(torch.stack(apart).max()), tuple(outputs[0].shape)
    if not difference <= MAX_DIFFERENCE:
        raise TraceError(
            f"The traced module differs from the network by {difference:.3g}, more than {MAX_DIFFERENCE:g}. The "
            "network computes something that depends on its input's values; a trace cannot hold that."
        )
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    return portable(buffer.getvalue()), difference, (output_shape[0], output_shape[1], output_shape[2], output_shape[3])


def refuse_control_flow(script: torch.jit.ScriptModule) -> None:
    """Refuse a TorchScript that branches or loops: the compiler has no form for it.

    Args:
        script: Any TorchScript module, traced or scripted.

    Raises:
        TraceError: Its graph holds prim::If or prim::Loop, in the module or in one that it calls.
    """
    found = sorted({node.kind() for node in _nodes(script.inlined_graph) if node.kind() in _CONTROL_FLOW})
    if found:
        raise TraceError(
            f"The TorchScript holds control flow ({', '.join(found)}), which the compiler cannot translate. Export it "
            "by torch.jit.trace, from a network whose forward() does not branch on its input."
        )


def portable(data: bytes) -> bytes:
    """Rewrite a TorchScript file without what depends on the machine that wrote it.

    Args:
        data: As torch.jit.save writes it.

    Returns:
        The same module: members in order, stored, tensors aligned as torch wants them, without source positions.
    """
    alignment = 64
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(result, "w") as target:
        for member in sorted(source.namelist()):
            if member.endswith(_MACHINE_DEPENDENT):
                continue
            info = zipfile.ZipInfo(member, _EPOCH)
            # torch maps tensors in place and wants them aligned: pad by an extra field, as its own writer does ("FB").
            start = result.tell() + 30 + len(member.encode()) + 4
            padding = -start % alignment
            info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            target.writestr(info, source.read(member))
    return result.getvalue()


@contextlib.contextmanager
def _names_of_a_fresh_process() -> Iterator[None]:
    # torch names a traced class after what the process traced before (Conv2d, ___torch_mangle_7.Conv2d), and the names
    # are saved. They are kept in this one object, for which torch has no public name.
    with _tracing:
        before = torch.jit._state._python_cu
        torch.jit._state._python_cu = torch._C.CompilationUnit()
        try:
            yield
        finally:
            torch.jit._state._python_cu = before


def _nodes(graph: torch._C.Graph | torch._C.Block) -> Iterator[torch._C.Node]:
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)
