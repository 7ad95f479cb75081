"""Ways in which the three heads can leave an int8 network, driven by hand: a build knows one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.bmodel import read_bmodel
from artifacts.release import Variant
from artifacts.store import Blob
from inference.engines.worker import WorkerProcess
from tasks.records import CalibrationTable, Lowered, TopModel, Traced
from tasks.rungs import Infer
from tasks.toolchain import command, graph
from tasks.toolchain.drive import driven
from tasks.toolchain.float_weights import without_subnormals
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace
from tests.benchmarks.page import Section
from tests.benchmarks.subject import BOUNDS, DRIVING, Judged, Subject, joined

FLOAT = {"BM1684": "F32", "BM1684X": "F16", "BM1688": "F16"}
_BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1}


@dataclass(frozen=True)
class Way:
    """One way.

    Attributes:
        name: What to call it.
        apart: Whether the heads are three outputs.
        layers: Layers that stay in float.
        narrow: Whether the outputs leave the chip as it computes them, not widened to float32.
    """

    name: str
    apart: bool
    layers: tuple[str, ...]
    narrow: bool = False

    @property
    def narrowed(self) -> Way:
        """The same, with outputs as the chip computes them."""
        return replace(self, narrow=True)


class Size(NamedTuple):
    """What the compiler says of one bmodel.

    Attributes:
        milliseconds: Its estimate.
        output_bytes: What leaves the chip for one image.
        file_bytes: Its length.
    """

    milliseconds: float
    output_bytes: int
    file_bytes: int


class Tails:
    """A network imported twice, with one output and with three, under one calibration table."""

    def __init__(
        self, traced: Traced, one: TopModel, table: CalibrationTable, toolchain: Toolchain, workspace: Workspace
    ) -> None:
        self.toolchain, self.workspace, self.table = toolchain, workspace, table
        self.one = one
        network = self._graph(one)
        self.concatenation, *convolutions = graph.head_tail(network)
        self.heads = tuple(convolutions)
        self.three = self._imported(traced, one)

    @property
    def ways(self) -> tuple[Way, ...]:
        """All that are compared, the present one second."""
        tail = (self.concatenation, *self.heads)
        return (
            Way("one output, all int8", False, ()),
            Way("**one output, float tail**", False, tail),
            Way("one output, concatenation in float", False, (self.concatenation,)),
            Way("three outputs, all int8", True, ()),
            Way("three outputs, last convolutions in float", True, self.heads),
        )

    def model(self, way: Way) -> TopModel:
        """The import that a way starts from."""
        return self.three if way.apart else self.one

    def inputs(self, way: Way, chip: str, table: str | None = None) -> dict[str, Blob | bytes]:
        """What a command of the compiler needs in its folder.

        Args:
            way: What stays in float.
            chip: For which chip.
            table: A quantize table to take instead.
        """
        model, content = self.model(way), self.workspace.content
        network = self._graph(model)
        inputs: dict[str, Blob | bytes] = {
            command.TOP_MLIR: model.mlir,
            command.TABLE: self.table.table,
            model.weights_name: model.weights,
        }
        if table is not None:
            inputs[command.QUANTIZE_TABLE] = table.encode()
        elif way.layers:
            inputs[command.QUANTIZE_TABLE] = graph.quantize_table(network, way.layers, FLOAT[chip]).encode()
            filters = graph.filters(network, way.layers) if FLOAT[chip] == "F16" else ()
            if filters:
                inputs[model.weights_name] = without_subnormals(content.verified(model.weights), filters)
        return inputs

    def lowered(self, way: Way, chip: str, table: str | None = None) -> Lowered:
        """The network in a chip's dialect."""
        variant, inputs = int8(chip), self.inputs(way, chip, table)
        given = command.QUANTIZE_TABLE in inputs
        planned = command.lower(variant, quantize_table=given, timeout_s=DRIVING.timeouts.lower)
        with driven(planned, self.toolchain, self.workspace, inputs, omp_threads=DRIVING.omp_threads) as ran:
            mlir = next(ran.folder.glob("*_tpu.mlir"))
            name = graph.weight_file(mlir.read_text())
            put = self.workspace.content.put_file
            weights = put(ran.folder / name)
            return Lowered(variant=variant, mlir=put(mlir), weights=weights, weights_name=name, evidence=ran.evidence)

    def compiled(self, way: Way, chip: str, table: str | None = None) -> Size:
        """What the bmodel would be."""
        variant, inputs = int8(chip), self.inputs(way, chip, table)
        planned = command.deploy(
            variant,
            quantize_table=command.QUANTIZE_TABLE in inputs,
            timeout_s=DRIVING.timeouts.deploy,
            options=("--quant_output",) if way.narrow else (),
        )
        with driven(planned, self.toolchain, self.workspace, inputs, omp_threads=DRIVING.omp_threads) as ran:
            profiles = ran.folder.glob(command.profiles(variant))
            found = [command.estimated_ms(path.read_text(errors="replace")) for path in profiles]
            path = ran.folder / command.BMODEL
            (stage,) = [stage for net in read_bmodel(path).nets for stage in net.stages]
            outputs = sum(int(np.prod(one.shape)) * _BYTES[one.dtype] for one in stage.outputs)
            return Size(max(ms for ms in found if ms is not None), outputs, path.stat().st_size)

    @contextmanager
    def loaded(self, way: Way, lowered: Lowered) -> Iterator[Infer]:
        """A lowered network in the compiler's interpreter, its heads joined where they are apart."""
        layers = self.heads if way.apart else (self.concatenation,)
        content, limit = self.workspace.content, DRIVING.timeouts.interpret
        with self.workspace.log_file("heads") as log, content.scratch("heads") as folder:
            path = folder / "network.mlir"
            content.link(lowered.mlir, path)
            content.link(lowered.weights, folder / lowered.weights_name)
            python = Path(self.toolchain.python)
            with WorkerProcess(python, path, log=log, start_timeout_s=limit, timeout_s=limit) as worker:
                yield lambda batch: joined(worker.run(batch), layers)

    def _graph(self, model: TopModel) -> graph.Graph:
        return graph.parse(self.workspace.content.verified(model.mlir).read_text())

    def _imported(self, traced: Traced, one: TopModel) -> TopModel:
        """The network with the last convolution of each head as its outputs."""
        usual = command.transform(one.input_shape, timeout_s=DRIVING.timeouts.transform)
        planned = usual.model_copy(update={"arguments": (*usual.arguments, "--output_names", ",".join(self.heads))})
        inputs: dict[str, Blob | bytes] = {command.MODULE: traced.module}
        with driven(planned, self.toolchain, self.workspace, inputs, omp_threads=DRIVING.omp_threads) as ran:
            mlir = ran.folder / command.TOP_MLIR
            network = graph.parse(mlir.read_text())
            made = tuple(network.operations[value].name for value in network.outputs)
            assert made == self.heads, (made, self.heads)
            put = self.workspace.content.put_file
            return one.model_copy(
                update={
                    "mlir": put(mlir),
                    "weights": put(ran.folder / network.weight_file),
                    "weights_name": network.weight_file,
                    "head_layers": self.heads,
                    "evidence": ran.evidence,
                }
            )


def judged(subject: Subject, tails: Tails, way: Way, chip: str, table: str | None = None) -> Judged:
    """Accuracy and distances of a way, or of a quantize table in its place."""
    with tails.loaded(way, tails.lowered(way, chip, table)) as infer:
        return subject.judge(int8(chip), infer)


def write_accuracy(subject: Subject, tails: Tails, chip: str, section: Section) -> None:
    """What each way gives on one chip, and what it loses to the present one, found image by image."""
    found = {way: judged(subject, tails, way, chip) for way in tails.ways}
    present = found[tails.ways[1]].measured
    rows = []
    for way, one in found.items():
        shown = (one.heads(figure) for figure in ("cosine", "snr_db", "max_abs"))
        against = subject.loss(one.measured, present)
        beside = "" if one.measured is present else f"{against.low:.4f} to {against.high:.4f}"
        rows.append((way.name, f"{one.measured.ap or 0:.4f}", f"{one.drop:.4f}", one.bounds, beside, *shown))
    header = (chip, "AP", "AP lost", BOUNDS, "lost to the float tail", "cosine", "SNR, dB", "largest difference")
    section.table(header, rows)


def int8(chip: str) -> Variant:
    """Batch 1, one core."""
    return Variant.model_validate({"chip": chip, "precision": "int8", "batch": 1})
