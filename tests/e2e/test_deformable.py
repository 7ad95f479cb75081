"""The real compiler on deformable convolutions: it computes what torch computes, and on which chip it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from artifacts.release import Variant
from inference.engines.worker import WorkerProcess
from settings.quantize import Recipe
from tasks.compile import compile_variant, import_network, lower
from tasks.distance import head_distances
from tasks.errors import ResultRefused
from tasks.network import build_network
from tasks.network.tracing import traced_bytes
from tasks.records import Lowered, TopModel, Traced
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace
from tests.e2e.conftest import SETTINGS
from tests.tasks.network.weights import fill

pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

SHAPE = (1, 3, 64, 64)
PATIENCE_S = 600.0


class Deformable(NamedTuple):
    """A narrow dla_34 in the real compiler's hands.

    Attributes:
        toolchain: The compiler.
        workspace: A store.
        network: The eager network.
        traced: Its TorchScript.
        model: As imported.
        sample: An input, float32 [1, 3, 64, 64].
    """

    toolchain: Toolchain
    workspace: Workspace
    network: nn.Module
    traced: Traced
    model: TopModel
    sample: NDArray[np.float32]

    def expected(self) -> NDArray[np.float32]:
        """What torch gives for the sample: head tensor [1, 84, 16, 16]."""
        with torch.no_grad():
            return self.network(torch.from_numpy(self.sample)).numpy()  # type: ignore[no-any-return]

    def arguments(self, chip: str) -> tuple[object, ...]:
        """Arguments of `lower` and `compile_variant` for float32 on a chip."""
        variant = Variant.model_validate({"chip": chip, "precision": "fp32", "batch": 1})
        return variant, self.model, None, Recipe(), self.toolchain, SETTINGS.driving, self.workspace


@pytest.fixture(scope="module")
def deformable(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Deformable:
    root = tmp_path_factory.mktemp("deformable")
    workspace = Workspace(store=str(root / "store"), cache=str(root / "cache"))
    network = build_network("dla_34", width=0.125).eval()
    fill(network)
    data, difference, output_shape = traced_bytes(network, SHAPE)
    traced = Traced(
        module=workspace.content.put_bytes(data),
        input_shape=SHAPE,
        output_shape=output_shape,
        parameters=1,
        max_difference=difference,
    )
    model = import_network.fn(traced, 1, toolchain, SETTINGS.driving, workspace)
    sample = np.random.default_rng(3).standard_normal(SHAPE, dtype=np.float32)
    return Deformable(toolchain, workspace, network, traced, model, sample)


def _run(python: str, path: Path, chip: str | None, log: Path, sample: NDArray[np.float32]) -> NDArray[np.float32]:
    with WorkerProcess(
        Path(python), path, log=log, chip=chip, start_timeout_s=PATIENCE_S, timeout_s=PATIENCE_S
    ) as worker:
        (output,) = worker.run(sample).values()
    return output


def _interpreted(case: Deformable, network: Lowered, folder: Path) -> NDArray[np.float32]:
    path = case.workspace.content.link(network.mlir, folder / "network.mlir")
    case.workspace.content.link(network.weights, folder / network.weights_name)
    return _run(case.toolchain.python, path, None, folder / "interpreter.log", case.sample)


def test_torchvisions_own_operator_gives_what_ours_gives(deformable: Deformable, tmp_path: Path) -> None:
    """The compiler's environment has torchvision, which reads our trace as its own."""
    path = deformable.workspace.content.link(deformable.traced.module, tmp_path / "network.pt")
    np.save(tmp_path / "sample.npy", deformable.sample)
    script = (
        "import sys, numpy, torch, torchvision; module = torch.jit.load(sys.argv[1]); "
        "numpy.save('heads.npy', module(torch.from_numpy(numpy.load('sample.npy'))).detach().numpy())"
    )
    argv = [deformable.toolchain.python, "-W", "ignore", "-c", script, str(path)]
    subprocess.run(argv, cwd=tmp_path, env={"OMP_NUM_THREADS": "2"}, timeout=PATIENCE_S, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "heads.npy"), deformable.expected(), atol=1e-5)


def test_the_interpreter_reads_between_cells_and_beyond_borders_as_torch_does(
    deformable: Deformable, tmp_path: Path
) -> None:
    expected = deformable.expected()
    with torch.no_grad():
        blind = build_network("dla_34", width=0.125).eval()
        fill(blind)
        for name, part in blind.named_parameters():
            if "conv_offset_mask" in name:
                part[: 18 if part.ndim == 1 else len(part)] *= 0
        unmoved = blind(torch.from_numpy(deformable.sample)).numpy()
    found = _interpreted(deformable, lower.fn(*deformable.arguments("BM1684X")), tmp_path)
    assert np.abs(unmoved - expected).max() > 0.05  # the offsets matter
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_bmodel_gives_in_the_simulator_what_torch_gives(deformable: Deformable, tmp_path: Path) -> None:
    made = compile_variant.fn(*deformable.arguments("BM1684X"))
    path = deformable.workspace.content.link(made.bmodel, tmp_path / "network.bmodel")
    found = _run(deformable.toolchain.python, path, "BM1684X", tmp_path / "simulator.log", deformable.sample)
    assert all(far.snr_db > 60 for far in head_distances(deformable.expected(), found).values())
    assert made.estimated_ms is not None and made.estimated_ms > 0


def test_bm1684_leaves_them_to_the_hosts_processor_and_is_refused(deformable: Deformable) -> None:
    with pytest.raises(ResultRefused, match="16 parts of it run on the host's processor"):
        compile_variant.fn(*deformable.arguments("BM1684"))
