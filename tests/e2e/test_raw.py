"""Bmodels that take raw pixels: in the simulator they give, bit by bit, what those give that take floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from artifacts.release import Variant
from inference.engines.simulator import SimulatorEngine
from inference.preprocess import preprocess_batch
from settings.quantize import Recipe
from tasks.compile import compile_variant
from tasks.errors import CommandFailed
from tasks.records import Compiled
from tasks.toolchain import command
from tasks.toolchain.drive import driven
from tasks.toolchain.tuning import tuned
from tests.e2e.conftest import SETTINGS, SPEC, Tiny

# torch announces that TorchScript will go some day; the compiler reads nothing else.
pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]


def compiled(tiny: Tiny, which: Variant, quantize: Recipe) -> Compiled:
    rest = (tiny.model, tiny.table, quantize, tiny.toolchain, SETTINGS.driving, tiny.workspace)
    return compile_variant.fn(which, *rest, tuned(which), SPEC)


def simulated(tiny: Tiny, made: Compiled, image: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    """Run a bmodel as a device would: head tensor [1, 84, 16, 16]."""
    path = tiny.workspace.content.link(made.bmodel, folder / f"{made.variant.stem}.bmodel")
    with SimulatorEngine(path, python=Path(tiny.toolchain.python)) as engine:
        return engine.run(preprocess_batch([image], SPEC.of(made.variant)))


@pytest.mark.parametrize(("tail", "given"), [(True, "float16"), (False, "int8")])
@pytest.mark.parametrize("chip", ["BM1684X", "BM1688"])
def test_raw_pixels_give_what_floats_give(tiny: Tiny, chip: str, tail: bool, given: str, tmp_path: Path) -> None:
    usual = Variant.model_validate({"chip": chip, "precision": "int8", "batch": 1})
    raw = usual.model_copy(update={"io": "raw"})
    quantize = Recipe(float_tail=tail)
    floats, pixels = compiled(tiny, usual, quantize), compiled(tiny, raw, quantize)
    assert (pixels.inputs[0].dtype, pixels.outputs[0].dtype) == ("uint8", given)
    # Every value that a pixel can have, in every channel, so that none of the chip's table goes unseen.
    values = (np.arange(64 * 64) % 256).astype(np.uint8)
    image = np.stack([np.random.default_rng(seed).permutation(values) for seed in range(3)], 1).reshape(64, 64, 3)
    by_floats = simulated(tiny, floats, image, tmp_path)
    assert by_floats.any()
    assert np.array_equal(by_floats, simulated(tiny, pixels, image, tmp_path))


def test_the_compiler_still_refuses_raw_pixels_for_bm1684(tiny: Tiny) -> None:
    """When this fails, `artifacts.variant` may let BM1684 have them."""
    usual = Variant(chip="BM1684", precision="int8", batch=1)
    planned = command.deploy(usual, quantize_table=False, timeout_s=300)
    planned = planned.model_copy(update={"arguments": (*planned.arguments, "--fuse_preprocess")})
    inputs = {
        command.TOP_MLIR: tiny.model.mlir,
        tiny.model.weights_name: tiny.model.weights,
        command.TABLE: tiny.table.table,
    }
    with (
        pytest.raises(CommandFailed),
        driven(planned, tiny.toolchain, tiny.workspace, inputs, omp_threads=SETTINGS.omp_threads),
    ):
        pass
