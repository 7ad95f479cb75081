"""What a compile left behind: judged by what it is, since the compiler exits 0 on bmodels that nobody asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from artifacts.bmodel import TensorInfo, content_digest, normalised, read_bmodel
from artifacts.files import storage_errors
from artifacts.release import Variant
from tasks.errors import ResultRefused
from tasks.records import Compiled, Quantized
from tasks.toolchain import command, graph
from tasks.toolchain.drive import Ran
from tasks.workspace import Workspace


def read_compiled(
    variant: Variant,
    input_shape: tuple[int, ...],
    network: graph.Graph,
    quantized: Quantized | None,
    workspace: Workspace,
    ran: Ran,
) -> Compiled:
    """Judge a bmodel, set its time stamp to a fixed one and write down what it is.

    Args:
        variant: What was asked for.
        input_shape: The network's, [N, C, H, W].
        network: The network.
        quantized: How int8 was made.
        workspace: Where bytes are kept.
        ran: The command that left it.

    Returns:
        What it is.

    Raises:
        ResultRefused: It is not what was asked for.
        BmodelError: It is damaged.
    """
    path = ran.folder / "normalised.bmodel"
    with storage_errors(ran.folder):
        path.write_bytes(normalised((ran.folder / command.BMODEL).read_bytes()))
    ends_in_float = network.operations[network.outputs[0]].name in (quantized.float_layers if quantized else ())
    types = (_types(variant, ends_in_float),)
    found, outputs, memory = judged(path, variant, input_shape, network.output_shapes, types)
    return Compiled(
        variant=variant,
        bmodel=workspace.content.put_file(path),
        # Not the blob's digest: on BM1684 a word left uninitialised may even change the file's layout.
        content_digest=content_digest(path),
        inputs=found,
        outputs=outputs,
        device_memory=memory,
        estimated_ms=_estimate(ran.folder.glob(command.profiles(variant))),
        quantized=quantized,
        evidence=ran.evidence,
    )


def judged(
    path: Path,
    variant: Variant,
    input_shape: tuple[int, ...],
    output_shapes: tuple[tuple[int, ...], ...],
    types: Collection[tuple[str, str]],
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...], int]:
    """Look whether a bmodel is what was asked for.

    Args:
        path: The file.
        variant: What was asked for.
        input_shape: Of its one input, [N, C, H, W].
        output_shapes: Of its one output.
        types: Pairs of element types, of input and output, of which it must have one.

    Returns:
        Its inputs, its outputs, and the bytes that it needs on the device.

    Raises:
        ResultRefused: It is not what was asked for.
        BmodelError: It is damaged.
    """
    info = read_bmodel(path)
    problems = []
    if info.chip != variant.chip:
        problems.append(f"it is for {info.chip}")
    stages = [stage for net in info.nets for stage in net.stages]
    if len(stages) != 1 or len(stages[0].inputs) != 1 or len(stages[0].outputs) != 1:
        raise ResultRefused(f"{variant.path}: the bmodel must hold one network with one input and one output.")
    stage = stages[0]
    if stage.core_num != variant.cores:
        problems.append(f"it is for {stage.core_num} core(s)")
    shapes = tuple(stage.inputs[0].shape), (tuple(stage.outputs[0].shape),)
    if shapes != (input_shape, output_shapes):
        problems.append(f"its shapes are {shapes[0]} -> {shapes[1]}, not {input_shape} -> {output_shapes}")
    found = stage.inputs[0].dtype, stage.outputs[0].dtype
    if found not in types:
        expected = " or ".join(f"{taken} and {given}" for taken, given in types)
        problems.append(f"it takes {found[0]} and gives {found[1]}, not {expected}")
    if stage.host_parts:
        problems.append(
            f"{stage.host_parts} parts of it run on the host's processor, because the chip cannot compute them; the "
            "compiler's estimate leaves them out, so take the chip out of the matrix"
        )
    if not info.weight_sha256_ok:
        problems.append("its weights do not match their own checksum")
    if problems:
        raise ResultRefused(f"{variant.path}: the compiler exited 0, but the bmodel is refused: {', '.join(problems)}.")
    return tuple(stage.inputs), tuple(stage.outputs), info.device_memory.total


def _types(variant: Variant, ends_in_float: bool) -> tuple[str, str]:
    if variant.io == "float":
        return "float32", "float32"
    return "uint8", "float16" if ends_in_float else "int8"


def _estimate(profiles: Iterable[Path]) -> float | None:
    # One profile a core; the slowest core decides.
    texts = (path.read_text(errors="replace") for path in profiles)
    estimates = [ms for ms in map(command.estimated_ms, texts) if ms is not None]
    return max(estimates, default=None)
