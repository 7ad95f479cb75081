"""The real compiler: its environment, and a tiny network that it has imported and calibrated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from artifacts.release import PreprocessSpec
from inference.preprocess import preprocess
from settings.sections import ToolchainSettings
from tasks.compile import import_network
from tasks.network.tracing import traced_bytes
from tasks.quantize import calibrate
from tasks.records import CalibrationSet, CalibrationTable, StoredImage, TopModel, Traced
from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import cache_root, provision
from tasks.workspace import Workspace
from tests.prefect_server import prefect_server
from tests.tasks.image_files import save, scene

__all__ = ["prefect_server"]

SETTINGS = ToolchainSettings()
SPEC = PreprocessSpec(width=64, height=64)


class ThreeHeads(nn.Module):
    """CenterNet's form in three layers a head; size and offset are a thousand times smaller than the heatmap."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, channels, 1)) for channels in (80, 2, 2)
        )
        for head in list(self.heads)[1:]:
            for parameter in head[2].parameters():  # type: ignore[index]
                parameter.data *= 1e-3

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(x)
        return torch.cat([head(features) for head in self.heads], 1)


class Tiny(NamedTuple):
    """A tiny network in the real compiler's hands.

    Attributes:
        toolchain: The compiler.
        workspace: A store.
        network: The eager network.
        traced: Its TorchScript.
        model: As imported at batch 1.
        images: Four images to calibrate with.
        table: Ranges from four images.
        sample: An input, float32 [1, 3, 64, 64].
    """

    toolchain: Toolchain
    workspace: Workspace
    network: ThreeHeads
    traced: Traced
    model: TopModel
    images: CalibrationSet
    table: CalibrationTable
    sample: NDArray[np.float32]


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The compiler, installed where this machine does not have it (about 6 GB, once)."""
    return provision(SETTINGS.version, root=cache_root(), python=SETTINGS.python)


@pytest.fixture(scope="session")
def tiny(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny network, imported and calibrated once a session."""
    root = tmp_path_factory.mktemp("tiny")
    workspace = Workspace(store=str(root / "store"), cache=str(root / "cache"))
    content = workspace.content
    torch.manual_seed(0)
    network = ThreeHeads().eval()
    data, difference, output_shape = traced_bytes(network, (1, 3, 64, 64))
    traced = Traced(
        module=content.put_bytes(data),
        input_shape=(1, 3, 64, 64),
        output_shape=output_shape,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        max_difference=difference,
    )
    images = [scene(seed, width=64, height=64) for seed in range(4)]
    paths = [save(root / f"{index}.png", image) for index, image in enumerate(images)]
    curated = CalibrationSet(
        images=tuple(StoredImage(name=path.name, blob=content.put_file(path)) for path in paths),
        manifest=content.put_bytes(b"[]"),
        contact_sheet=content.put_bytes(b""),
    )
    model = import_network.fn(traced, 1, toolchain, SETTINGS.driving, workspace)
    table = calibrate.fn(model, curated, SPEC, "kl", toolchain, SETTINGS.driving, workspace)
    sample = preprocess(images[0], SPEC)[np.newaxis]
    return Tiny(toolchain, workspace, network, traced, model, curated, table, sample)
