"""The sequence of compiler commands of the vendor's scripts, on a build's own inputs.

Written after `gen_fp32bmodel_mlir.sh`, `gen_fp16bmodel_mlir.sh` and `gen_int8bmodel_mlir.sh` of sophgo/sophon-demo (its
sample/CenterNet/scripts, commit c7c94bb): one chip after the other, one precision after the other, each importing the
network again, calibrating for each chip, and checking each bmodel on one image. What differs: the inputs are those of a
finished build of ours (its TorchScript, its 200 samples, its quantize table), so that the bmodels can be compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.release import PreprocessSpec, Variant
from inference.images import read_image
from inference.preprocess import preprocess
from settings.quantize import Recipe
from tasks.compile import FLOAT_MODE, float_layers
from tasks.toolchain import command, graph
from tasks.toolchain.model import Toolchain
from tests.benchmarks import whole

TABLE, QTABLE, LIST = "centernet.cali", "centernet.qtable", "images.txt"
_TOLERANCE = ("--tolerance", "0.8,0.5")


class Ran(NamedTuple):
    """One command of a sequence.

    Attributes:
        tool: Its program.
        variant: The path in a release of what it compiles; empty for the others.
        took: What it took.
    """

    tool: str
    variant: str
    took: whole.Took


class Planned(NamedTuple):
    tool: str
    arguments: tuple[str, ...]
    variant: str = ""


def as_the_scripts(variants: Sequence[Variant], shape: tuple[int, int, int]) -> Iterator[Planned]:
    """Plan what the scripts run.

    Args:
        variants: What to compile.
        shape: C, H, W of the network's input.
    """
    for chip, of_chip in groupby(sorted(variants), key=lambda variant: variant.chip):
        for precision, script in groupby(of_chip, key=lambda variant: variant.precision):
            for batch, models in groupby(script, key=lambda variant: variant.batch):
                yield _transform(
                    batch, shape, "--test_input", f"sample_{batch}.npz", "--test_result", f"top_{batch}.npz"
                )
                if precision == "int8" and batch == 1:
                    yield _calibrate()
                for variant in models:
                    yield _deploy(variant, chip, f"top_{batch}.npz")


def each_once(variants: Sequence[Variant], shape: tuple[int, int, int]) -> Iterator[Planned]:
    """Plan the same commands without repetition, one-image check and tuning pass; arguments as above."""
    for batch in sorted({1, *(variant.batch for variant in variants)}):
        yield _transform(batch, shape)
        if batch == 1 and any(variant.precision == "int8" for variant in variants):
            yield _calibrate("--tune_num", "0")
        for variant in sorted(variants):
            if variant.batch == batch:
                yield _deploy(variant, variant.chip, None)


def run(plan: Iterator[Planned], built: Path, folder: Path, toolchain: Toolchain, spec: PreprocessSpec) -> list[Ran]:
    """Run a sequence in one folder, with the compiler's own defaults.

    Args:
        plan: The commands.
        built: Folder of a finished build with the same variants, whose inputs are used.
        folder: Where to run; made.
        toolchain: The compiler.
        spec: How an image becomes the input tensor.

    Returns:
        What each command took; the bmodels lie in the folder under their names in a release, `/` as `__`.
    """
    folder.mkdir(parents=True)
    _inputs(built, folder, spec)
    environment = {"PATH": f"{Path(toolchain.root) / 'bin'}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    ran = []
    for planned in plan:
        chip = planned.variant.partition("/")[0]
        if chip:
            (folder / QTABLE).write_bytes((folder / f"{chip}.qtable").read_bytes())
        argv: list[str | Path] = [Path(toolchain.root) / "bin" / planned.tool, *planned.arguments]
        took = whole.command(argv, folder / "sequence.log", cwd=folder, env=environment)
        ran.append(Ran(planned.tool, planned.variant, took))
        if planned.variant:
            (folder / command.BMODEL).replace(folder / planned.variant.replace("/", "__"))
    return ran


def _inputs(built: Path, folder: Path, spec: PreprocessSpec) -> None:
    (traced,) = whole.records(built, "trace")
    os.link(whole.blob(built, traced["module"]), folder / command.MODULE)
    model = next(one for one in whole.records(built, "import_network") if one["input_shape"][0] == 1)
    network = graph.parse(whole.blob(built, model["mlir"]).read_text())
    for chip in ("BM1684", "BM1684X", "BM1688"):
        kept = float_layers(Variant(chip=chip, precision="int8", batch=1), network, Recipe())
        (folder / f"{chip}.qtable").write_text(graph.quantize_table(network, kept, FLOAT_MODE[chip]))
    (curated,) = whole.records(built, "curate_images")
    paths = []
    for index, image in enumerate(curated["images"]):
        tensor = preprocess(read_image(whole.blob(built, image["blob"])), spec)[np.newaxis]
        paths.append(folder / f"{index:05d}.npz")
        np.savez(paths[-1], **{model["input_name"]: tensor})  # type: ignore[arg-type]
        for batch in (1, 4) if index == 0 else ():
            repeated = np.repeat(tensor, batch, axis=0)
            np.savez(folder / f"sample_{batch}.npz", **{model["input_name"]: repeated})  # type: ignore[arg-type]
    (folder / LIST).write_text("".join(f"{path}\n" for path in paths))


def _transform(batch: int, shape: tuple[int, int, int], *more: str) -> Planned:
    planned = command.transform((batch, *shape), timeout_s=0)
    return Planned(planned.tool, (*planned.arguments, *more))


def _calibrate(*more: str) -> Planned:
    given = ("--data_list", LIST, "--input_num", "200")
    return Planned("run_calibration", (command.TOP_MLIR, *given, *more, "-o", TABLE))


def _deploy(variant: Variant, chip: str, reference: str | None) -> Planned:
    planned = command.deploy(variant, quantize_table=variant.precision == "int8", timeout_s=0)
    arguments = list(planned.arguments)
    at = arguments.index("--enable_lghash")
    del arguments[at : at + 3]
    if reference is not None:
        arguments += ["--test_input", "centernet_in_f32.npz", "--test_reference", reference]
        arguments += _TOLERANCE if variant.precision == "int8" else ()
    return Planned(planned.tool, tuple(arguments), variant.path)
