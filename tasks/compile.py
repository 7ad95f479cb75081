"""From TorchScript to bmodels: import, lower, compile."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from artifacts.bmodel import TensorInfo, content_digest, normalisable, normalised, read_bmodel
from artifacts.files import storage_errors
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from settings.sections import Driving, QuantizeSettings
from tasks.errors import CommandTimedOut, GraphError, ResultRefused
from tasks.records import CalibrationTable, Compiled, Lowered, TopModel, Traced
from tasks.step import step
from tasks.toolchain import command, graph
from tasks.toolchain.drive import Ran, driven
from tasks.toolchain.float_weights import without_subnormals
from tasks.toolchain.model import Toolchain
from tasks.toolchain.raw_input import with_preprocessing
from tasks.workspace import Workspace

_FLOAT_MODE = {"BM1684": "F32", "BM1684X": "F16", "BM1688": "F16"}


@step(version=1, slot="import b{batch}", retries=1, retry_on=(CommandTimedOut,))
def import_network(
    traced: Traced, batch: int, toolchain: Toolchain, driving: Driving, workspace: Workspace
) -> TopModel:
    """Turn the TorchScript into the compiler's top-level form for one batch size.

    Args:
        traced: The module.
        batch: Batch size.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The network with its shapes checked: the compiler itself takes wrong ones and exits 0.

    Raises:
        CommandError: The compiler failed.
        ResultRefused: Its result has other shapes than the module.
        GraphError: The network does not end in the concatenation of three convolutions.
    """
    shape = (batch, *traced.input_shape[1:])
    planned = command.transform(shape, timeout_s=driving.timeouts.transform)
    inputs: dict[str, Blob | bytes] = {command.MODULE: traced.module}
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        mlir = ran.folder / command.TOP_MLIR
        network = graph.parse(mlir.read_text())
        _check_shapes(network, shape, (batch, *traced.output_shape[1:]))
        return TopModel(
            mlir=workspace.content.put_file(mlir),
            weights=workspace.content.put_file(ran.folder / network.weight_file),
            weights_name=network.weight_file,
            input_name=network.inputs[0].name,
            input_shape=shape,
            head_layers=graph.head_tail(network),
            evidence=ran.evidence,
        )


@step(version=2, slot="lower {variant.chip} {variant.precision}", retries=1, retry_on=(CommandTimedOut,))
def lower(
    variant: Variant,
    model: TopModel,
    table: CalibrationTable | None,
    quantize: QuantizeSettings,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> Lowered:
    """Lower the network to a chip's dialect, for the interpreter.

    Args:
        variant: Chip and precision; batch and cores are 1.
        model: The network at batch 1.
        table: Ranges, for int8.
        quantize: What stays in float.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The lowered network.

    Raises:
        CommandError: The compiler failed.
        GraphError: A rule about layers found nothing.
    """
    network = graph.parse(workspace.content.verified(model.mlir).read_text())
    inputs = _inputs(variant, model, network, table, quantize, workspace)
    planned = command.lower(variant, quantize_table=command.QUANTIZE_TABLE in inputs, timeout_s=driving.timeouts.lower)
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        mlir = next(ran.folder.glob("*_tpu.mlir"))
        weights_name = graph.weight_file(mlir.read_text())
        return Lowered(
            variant=variant,
            mlir=workspace.content.put_file(mlir),
            weights=workspace.content.put_file(ran.folder / weights_name),
            weights_name=weights_name,
            evidence=ran.evidence,
        )


@step(version=2, slot="compile {variant.path}", retries=1, retry_on=(CommandTimedOut,))
def compile_variant(
    variant: Variant,
    model: TopModel,
    table: CalibrationTable | None,
    quantize: QuantizeSettings,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
    options: tuple[str, ...] = (),
    spec: PreprocessSpec | None = None,
) -> Compiled:
    """Compile one bmodel and read back what it is.

    Args:
        variant: What to compile.
        model: The network at the variant's batch size.
        table: Ranges, for int8; one table, made at batch 1, serves all chips and batches.
        quantize: What stays in float.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.
        options: Further options of the compiler, as `tuned` chooses them.
        spec: How an image becomes the input tensor; what takes raw pixels does it itself.

    Returns:
        The bmodel, its time stamp set to a fixed one so that the same work gives the same bytes.

    Raises:
        CommandError: The compiler failed, or left nothing.
        ResultRefused: The bmodel is not what was asked for.
        BmodelError: It is damaged.
    """
    network = graph.parse(workspace.content.verified(model.mlir).read_text())
    inputs = _inputs(variant, model, network, table, quantize, workspace)
    if variant.io == "raw":
        inputs[command.TOP_MLIR] = _raw_input(variant, model, spec, workspace)
    plan = partial(
        command.deploy,
        variant,
        quantize_table=command.QUANTIZE_TABLE in inputs,
        timeout_s=driving.timeouts.deploy,
        options=options,
    )
    drive = partial(driven, toolchain=toolchain, workspace=workspace, inputs=inputs, omp_threads=driving.omp_threads)
    read = partial(_compiled, variant, model.input_shape, network.output_shapes, quantize, workspace)
    with drive(plan()) as ran:
        if normalisable((ran.folder / command.BMODEL).read_bytes()):
            return read(ran)
    with drive(plan(filled_memory=True)) as ran:
        return read(ran)


def _compiled(
    variant: Variant,
    input_shape: tuple[int, ...],
    output_shapes: tuple[tuple[int, ...], ...],
    quantize: QuantizeSettings,
    workspace: Workspace,
    ran: Ran,
) -> Compiled:
    path = ran.folder / "normalised.bmodel"
    with storage_errors(ran.folder):
        path.write_bytes(normalised((ran.folder / command.BMODEL).read_bytes()))
    found, outputs, memory = _judge(path, variant, input_shape, output_shapes, quantize)
    return Compiled(
        variant=variant,
        bmodel=workspace.content.put_file(path),
        # Not the blob's digest: on BM1684 a word left uninitialised may even change the file's layout.
        content_digest=content_digest(path),
        inputs=found,
        outputs=outputs,
        device_memory=memory,
        estimated_ms=_estimate(ran.folder.glob(command.profiles(variant))),
        evidence=ran.evidence,
    )


def float_layers(variant: Variant, network: graph.Graph, quantize: QuantizeSettings) -> str | None:
    """Decide which layers of an int8 variant stay in float.

    Args:
        variant: Chip and precision.
        network: The network that the rule is applied to.
        quantize: Whether the rule for the heads is on.

    Returns:
        A quantize table, None where nothing stays in float.

    Raises:
        GraphError: The rule finds no heads.
    """
    if variant.precision != "int8" or not quantize.float_tail:
        return None
    return graph.quantize_table(network, graph.head_tail(network), _FLOAT_MODE[variant.chip])


def _inputs(
    variant: Variant,
    model: TopModel,
    network: graph.Graph,
    table: CalibrationTable | None,
    quantize: QuantizeSettings,
    workspace: Workspace,
) -> dict[str, Blob | bytes]:
    inputs: dict[str, Blob | bytes] = {command.TOP_MLIR: model.mlir, model.weights_name: model.weights}
    if variant.precision == "int8":
        if table is None:
            raise ResultRefused(f"{variant.path} needs a calibration table; none was made.")
        inputs[command.TABLE] = table.table
        float_table = float_layers(variant, network, quantize)
        if float_table is not None:
            inputs[command.QUANTIZE_TABLE] = float_table.encode()
            if _FLOAT_MODE[variant.chip] == "F16":
                weights = workspace.content.verified(model.weights)
                names = graph.filters(network, graph.head_tail(network))
                inputs[model.weights_name] = without_subnormals(weights, names)
    return inputs


def _raw_input(variant: Variant, model: TopModel, spec: PreprocessSpec | None, workspace: Workspace) -> bytes:
    if spec is None:
        raise ResultRefused(
            f"{variant.path} takes raw pixels; it needs the preprocess spec to do the arithmetic itself."
        )
    return with_preprocessing(workspace.content.verified(model.mlir).read_text(), spec).encode()


def _check_shapes(network: graph.Graph, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    if len(network.inputs) != 1:
        raise GraphError(f"The network has {len(network.inputs)} inputs in the compiler's form; one is expected.")
    found = network.inputs[0].shape
    if found != input_shape or network.output_shapes != (output_shape,):
        made = ", ".join(map(str, network.output_shapes))
        raise ResultRefused(
            f"The compiler made a network {found} -> {made} out of a module {input_shape} -> {output_shape}. It exits "
            "0 on shapes that the module itself refuses; check the preprocess size in the settings."
        )


def _judge(
    path: Path,
    variant: Variant,
    input_shape: tuple[int, ...],
    output_shapes: tuple[tuple[int, ...], ...],
    quantize: QuantizeSettings,
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...], int]:
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
    types, expected = (stage.inputs[0].dtype, stage.outputs[0].dtype), _types(variant, quantize)
    if types != expected:
        problems.append(f"it takes {types[0]} and gives {types[1]}, not {expected[0]} and {expected[1]}")
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


def _types(variant: Variant, quantize: QuantizeSettings) -> tuple[str, str]:
    if variant.io == "float":
        return "float32", "float32"
    return "uint8", "float16" if quantize.float_tail else "int8"


def _estimate(profiles: Iterable[Path]) -> float | None:
    # One profile a core; the slowest core decides.
    texts = (path.read_text(errors="replace") for path in profiles)
    estimates = [ms for ms in map(command.estimated_ms, texts) if ms is not None]
    return max(estimates, default=None)
