"""Latency on the chip, as the compiler estimates it

The full network at 512 x 512 in int8 with the float tail, untrained (seed 0), calibrated on four photographs. Each
row is a compile with other options; *tuned* is what a build gives with `toolchain.tuned` (`tasks/toolchain/tuning.py`).
Seconds are those of the compile on this machine, from nothing. *Equal* says whether the bmodel gave, in the vendor's
simulator and on a photograph, bit by bit what the plain one for the same chip gave. No device was used: all
milliseconds are the compiler's estimates, but for those of the vendor's own models, which the vendor measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from artifacts.bmodel import read_bmodel
from artifacts.release import PreprocessSpec, Variant
from artifacts.variant import CHIPS
from inference.engines.simulator import SimulatorEngine
from inference.images import read_image
from inference.preprocess import preprocess_batch
from settings.quantize import Recipe
from settings.sections import ToolchainSettings
from tasks.compile import compile_variant, import_network
from tasks.quantize import calibrate
from tasks.records import CalibrationSet, CalibrationTable, Compiled, StoredImage, TopModel
from tasks.toolchain.command import Command, Expected
from tasks.toolchain.drive import driven
from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import cache_root, provision
from tasks.toolchain.tuning import tuned
from tasks.workspace import Workspace
from tests.benchmarks.page import Section
from tests.benchmarks.subject import untrained

SETTINGS, SPEC = ToolchainSettings(), PreprocessSpec()
SHAPE = (1, 3, SPEC.height, SPEC.width)
BATCHES = (1, 4)

SEARCHED, COMPRESSED = ("--shape_secs_search_strategy", "2"), ("--compress_mode", "all")
# What is tried for one image; for a batch only nothing and the default, because the longer search takes a minute there.
TRIED: dict[str, tuple[tuple[str, ...], ...]] = {
    "BM1684": ((), SEARCHED),
    "BM1684X": ((), SEARCHED),
    "BM1688": ((), SEARCHED, COMPRESSED, COMPRESSED + SEARCHED),
}
NAMES = {
    (): "plain",
    SEARCHED: "longer search",
    COMPRESSED: "compressed",
    COMPRESSED + SEARCHED: "compressed, searched",
}

# The vendor's words: data sheets for INT8, and the README of sample/CenterNet of sophgo/sophon-demo at commit c7c94bb,
# milliseconds an image measured by bmrt_test. One of the BM1688's two cores is taken for half of it.
PEAK_TOPS = {"BM1684": 17.6, "BM1684X": 32.0, "BM1688": 16.0}
VENDOR_MS = {
    ("BM1684", 1): (22.5, 8.1),
    ("BM1684X", 1): (4.4, 4.0),
    ("BM1688", 1): (21.9, 20.5),
    ("BM1688", 2): (15.1, 11.5),
}


class Bench(NamedTuple):
    """The full network in the compiler's hands.

    Attributes:
        toolchain: The compiler.
        workspace: A store.
        models: As imported, by batch.
        table: Ranges.
        work: Operations for one image; a multiplication and an addition are two.
        photograph: uint8 [H, W, 3].
        folder: For whatever is written.
    """

    toolchain: Toolchain
    workspace: Workspace
    models: dict[int, TopModel]
    table: CalibrationTable
    work: int
    photograph: NDArray[np.uint8]
    folder: Path

    def compiled(self, variant: Variant, options: tuple[str, ...]) -> Compiled:
        rest = (self.table, Recipe(), self.toolchain, SETTINGS.driving, self.workspace, options, SPEC)
        return compile_variant.fn(variant, self.models[variant.batch], *rest)

    def simulated(self, made: Compiled) -> NDArray[np.float32]:
        path = self.folder / f"{made.content_digest[-16:]}.bmodel"
        if not path.exists():
            self.workspace.content.link(made.bmodel, path)
        with SimulatorEngine(path, python=Path(self.toolchain.python)) as engine:
            return engine.run(preprocess_batch([self.photograph], SPEC.of(made.variant)))

    def used(self, variant: Variant, ms_an_image: float) -> str:
        """The share of the chip's peak that the work of an image is in that time."""
        peak = PEAK_TOPS[variant.chip] * 1e12 * (0.5 if variant.chip == "BM1688" and variant.cores == 1 else 1.0)
        return f"{self.work / (ms_an_image * 1e-3 * peak):.0%}"


@pytest.fixture(scope="module")
def bench(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Trace, import and calibrate the network."""
    root = tmp_path_factory.mktemp("latency")
    toolchain = provision(SETTINGS.version, root=cache_root(), python=SETTINGS.python)
    workspace = Workspace(store=str(root / "store"), cache=str(root / "cache"))
    content = workspace.content
    network, traced = untrained(SPEC, workspace)
    chosen = CalibrationSet(
        images=tuple(StoredImage(name=path.name, blob=content.put_file(path)) for path in photographs[:4]),
        manifest=content.put_bytes(b"[]"),
        contact_sheet=content.put_bytes(b""),
    )
    driving = SETTINGS.driving
    models = {batch: import_network.fn(traced, batch, toolchain, driving, workspace) for batch in BATCHES}
    table = calibrate.fn(models[1], chosen, SPEC, "kl", toolchain, driving, workspace)
    return Bench(toolchain, workspace, models, table, operations(network), read_image(photographs[-1]), root)


def operations(network: torch.nn.Module) -> int:
    """Count the operations of the convolutions for one image."""
    counted: list[int] = []

    def count(module: torch.nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        # A transposed convolution multiplies each of its inputs, the other kind each of its outputs, with a filter.
        cells = given[0] if isinstance(module, torch.nn.ConvTranspose2d) else made
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        counted.append(2 * cells[0, 0].numel() * weight.numel())

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [one.register_forward_hook(count) for one in network.modules() if isinstance(one, kinds)]
    with torch.no_grad():
        network(torch.zeros(SHAPE))
    for hook in hooks:
        hook.remove()
    return sum(counted)


def variants(chip: str) -> Iterator[tuple[Variant, tuple[tuple[str, ...], ...]]]:
    """What is compiled for a chip, and with which options."""
    for cores in (1, 2) if chip == "BM1688" else (1,):
        for batch in BATCHES:
            fields = {"chip": chip, "precision": "int8", "batch": batch, "cores": cores}
            usual = Variant.model_validate(fields)
            default = tuned(usual)
            yield usual, TRIED[chip] if batch == 1 else tuple(dict.fromkeys([(), default]))
            if chip != "BM1684":
                yield usual.model_copy(update={"io": "raw"}), (default,)


@pytest.mark.parametrize("chip", CHIPS)
def bench_options(chip: str, bench: Bench, section: Section) -> None:
    plain: NDArray[np.float32] | None = None
    rows = []
    for variant, option_sets in variants(chip):
        for options in option_sets:
            made = bench.compiled(variant, options)
            assert made.estimated_ms is not None
            same = "not run"
            if variant.batch == 1:
                output = bench.simulated(made)
                plain = output if plain is None else plain
                same = "yes" if np.array_equal(output, plain) else f"no: {np.abs(output - plain).max():.2g}"
            default = ", tuned" if options and options == tuned(variant) else ""
            one = made.estimated_ms / variant.batch
            rows.append(
                (
                    f"{variant.stem.removeprefix('centernet_int8_')}: {NAMES[options]}{default}",
                    f"{made.estimated_ms:.3f}",
                    f"{one:.3f}",
                    bench.used(variant, one),
                    f"{made.bmodel.size / 1e6:.2f}",
                    f"{made.device_memory / 1e6:.2f}",
                    f"{made.evidence.seconds:.1f}",
                    same,
                )
            )
    # What a build makes must be equal; what else was tried need not.
    assert not [row for row in rows if row[-1].startswith("no:") and "default" in row[0]]
    section.say(f"**{chip}**")
    section.table(
        ("batch and options", "estimated ms", "ms an image", "of peak", "file MB", "device MB", "compile s", "equal"),
        rows,
    )


def bench_beside_the_vendors(bench: Bench, section: Section) -> None:
    rows = []
    for (chip, cores), measured in VENDOR_MS.items():
        for batch, theirs in zip(BATCHES, measured, strict=True):
            fields = {"chip": chip, "precision": "int8", "batch": batch, "cores": cores}
            variant = Variant.model_validate(fields)
            made = bench.compiled(variant, tuned(variant))
            ours = (made.estimated_ms or 0.0) / batch
            rows.append(
                (
                    f"{chip}, {cores} core{'s' if cores > 1 else ''}, batch {batch}",
                    f"{ours:.2f}, {bench.used(variant, ours)}",
                    f"{theirs:.1f}, {bench.used(variant, theirs)}",
                )
            )
    section.say(
        f"One image is {bench.work / 1e9:.1f} GFLOP in the convolutions (a multiplication and an addition are "
        "two). The chips' peaks in INT8 are the vendor's words: BM1684 17.6, BM1684X 32, BM1688 16 TOPS on two "
        "cores, of which half is taken for one. The vendor's figures are of its own models, measured by the "
        "vendor on its boards (README of sophgo/sophon-demo, sample/CenterNet, at c7c94bb). An estimate beside a "
        "measurement is no comparison of two models: it tells how much the estimates leave out, at most."
    )
    section.table(("int8", "ours: estimated ms an image, of peak", "vendor's: measured ms an image, of peak"), rows)


@pytest.mark.parametrize("chip", ["BM1684X", "BM1688"])
def bench_two_batches_in_one_file(chip: str, bench: Bench, section: Section) -> None:
    made = {}
    for batch in BATCHES:
        variant = Variant.model_validate({"chip": chip, "precision": "int8", "batch": batch})
        made[batch] = bench.compiled(variant, tuned(variant))
    planned = Command(
        name=f"combine {chip}",
        tool="model_tool",
        arguments=("--combine", "4.bmodel", "1.bmodel", "-o", "both.bmodel"),
        expects=(Expected(pattern="both.bmodel"),),
        timeout_s=60,
    )
    inputs = {f"{batch}.bmodel": one.bmodel for batch, one in made.items()}
    with driven(planned, bench.toolchain, bench.workspace, inputs, omp_threads=2) as ran:
        path = ran.folder / "both.bmodel"
        both, size = read_bmodel(path), path.stat().st_size
    stages = [stage.inputs[0].shape[0] for net in both.nets for stage in net.stages]
    apart = sum(one.bmodel.size for one in made.values())
    memory = sum(one.device_memory for one in made.values())
    section.say(
        f"{chip}, batches {' and '.join(map(str, stages))} joined by `model_tool --combine`: {size / 1e6:.2f} MB "
        f"instead of {apart / 1e6:.2f} in two files, device memory {both.device_memory.total / 1e6:.2f} MB instead of "
        f"{memory / 1e6:.2f} for both loaded. Each batch keeps its own instructions, and with them its time."
    )
