"""From TorchScript to bmodels: import, lower, compile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from artifacts.bmodel import normalisable
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from settings.quantize import Recipe
from settings.sections import Driving
from tasks.attempts import NO_LABEL, Label
from tasks.compiled import read_compiled
from tasks.errors import CommandTimedOut, GraphError, ResultRefused
from tasks.records import CalibrationTable, Compiled, Lowered, Quantized, TopModel, Traced
from tasks.step import step
from tasks.toolchain import command, graph, rules
from tasks.toolchain.drive import Ran, driven
from tasks.toolchain.float_weights import without_subnormals
from tasks.toolchain.model import Toolchain
from tasks.toolchain.raw_input import with_preprocessing
from tasks.workspace import Workspace

FLOAT_MODE = {"BM1684": "F32", "BM1684X": "F16", "BM1688": "F16"}
"""In what a chip computes the layers that stay in float."""


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


@step(version=3, slot="lower {variant.chip} {variant.precision}{attempt}", retries=1, retry_on=(CommandTimedOut,))
def lower(
    variant: Variant,
    model: TopModel,
    table: CalibrationTable | None,
    recipe: Recipe | None,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> Lowered:
    """Lower the network to a chip's dialect, for the interpreter.

    Args:
        variant: Chip and precision; batch and cores are 1.
        model: The network at batch 1.
        table: Ranges, for int8.
        recipe: What stays in float; None for what is in float anyway.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.
        attempt: For which attempt at int8.

    Returns:
        The lowered network.

    Raises:
        CommandError: The compiler failed.
        GraphError: A rule about layers found nothing.
    """
    network = graph.parse(workspace.content.verified(model.mlir).read_text())
    kept = float_layers(variant, network, recipe)
    with lowering(variant, model, network, table, kept, toolchain, driving, workspace) as ran:
        mlir = next(ran.folder.glob(command.LOWERED))
        weights_name = graph.weight_file(mlir.read_text())
        return Lowered(
            variant=variant,
            mlir=workspace.content.put_file(mlir),
            weights=workspace.content.put_file(ran.folder / weights_name),
            weights_name=weights_name,
            quantized=quantized(table, kept),
            evidence=ran.evidence,
        )


@contextmanager
def lowering(
    variant: Variant,
    model: TopModel,
    network: graph.Graph,
    table: CalibrationTable | None,
    kept: tuple[str, ...],
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> Iterator[Ran]:
    """Lower the network in a scratch folder.

    Args:
        variant: Chip and precision; batch and cores are 1.
        model: The network at batch 1.
        network: The same, as it was read.
        table: Ranges, for int8.
        kept: Layers that stay in float.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Yields:
        The command, in whose folder the lowered network lies until the block is left.

    Raises:
        CommandError: The compiler failed.
    """
    inputs = _inputs(variant, model, network, table, kept, workspace)
    planned = command.lower(variant, quantize_table=command.QUANTIZE_TABLE in inputs, timeout_s=driving.timeouts.lower)
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        yield ran


@step(version=3, slot="compile {variant.path}{attempt}", retries=1, retry_on=(CommandTimedOut,))
def compile_variant(
    variant: Variant,
    model: TopModel,
    table: CalibrationTable | None,
    recipe: Recipe | None,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
    options: tuple[str, ...] = (),
    spec: PreprocessSpec | None = None,
    attempt: Label = NO_LABEL,
) -> Compiled:
    """Compile one bmodel and read back what it is.

    Args:
        variant: What to compile.
        model: The network at the variant's batch size.
        table: Ranges, for int8; one table, made at batch 1, serves all chips and batches.
        recipe: What stays in float; None for what is in float anyway.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.
        options: Further options of the compiler, as `tuned` chooses them.
        spec: How an image becomes the input tensor; what takes raw pixels does it itself.
        attempt: For which attempt at int8.

    Returns:
        The bmodel, its time stamp set to a fixed one so that the same work gives the same bytes.

    Raises:
        CommandError: The compiler failed, or left nothing.
        ResultRefused: The bmodel is not what was asked for.
        BmodelError: It is damaged.
    """
    network = graph.parse(workspace.content.verified(model.mlir).read_text())
    kept = float_layers(variant, network, recipe)
    inputs = _inputs(variant, model, network, table, kept, workspace)
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
    read = partial(read_compiled, variant, model.input_shape, network, quantized(table, kept), workspace)
    with drive(plan()) as ran:
        if normalisable((ran.folder / command.BMODEL).read_bytes()):
            return read(ran)
    with drive(plan(filled_memory=True)) as ran:
        return read(ran)


def quantized(table: CalibrationTable | None, kept: tuple[str, ...]) -> Quantized | None:
    """Write down how int8 was made; None without a table."""
    return None if table is None else Quantized(method=table.method, table=table.table.digest, float_layers=kept)


def float_layers(variant: Variant, network: graph.Graph, recipe: Recipe | None) -> tuple[str, ...]:
    """Decide which layers of a variant stay in float beside those of a variant that is in float anyway.

    Args:
        variant: Chip and precision.
        network: The network that the rules are applied to.
        recipe: What stays in float.

    Returns:
        The compiler's layer names.

    Raises:
        GraphError: A rule finds no layer.
    """
    return rules.float_layers(network, recipe) if variant.precision == "int8" and recipe is not None else ()


def _inputs(
    variant: Variant,
    model: TopModel,
    network: graph.Graph,
    table: CalibrationTable | None,
    kept: tuple[str, ...],
    workspace: Workspace,
) -> dict[str, Blob | bytes]:
    inputs: dict[str, Blob | bytes] = {command.TOP_MLIR: model.mlir, model.weights_name: model.weights}
    if variant.precision == "int8":
        if table is None:
            raise ResultRefused(f"{variant.path} needs a calibration table; none was made.")
        inputs[command.TABLE] = table.table
        if kept:
            mode = FLOAT_MODE[variant.chip]
            inputs[command.QUANTIZE_TABLE] = graph.quantize_table(network, kept, mode).encode()
            if mode == "F16":
                weights, names = workspace.content.verified(model.weights), graph.filters(network, kept)
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
