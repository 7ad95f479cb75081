"""A trace computes what the network computes, holds no control flow, and is the same bytes on every machine."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artifacts.release import PreprocessSpec
from settings.sections import NetworkSettings
from tasks.errors import TraceError
from tasks.network import build_network
from tasks.network.tracing import portable, refuse_control_flow, traced_bytes
from tasks.records import Checkpoint
from tasks.trace import trace
from tasks.workspace import Workspace

# torch announces that TorchScript will go some day; the compiler reads nothing else.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")

SHAPE = (1, 3, 32, 32)


class Plain(nn.Module):
    """One convolution with fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolution(x))


class Branching(Plain):
    """Branches on its input: its trace holds the branch that the first input took."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return self.convolution(x)
        return self.convolution(-2 * x)


class Looping(nn.Module):
    """Loops as often as its input says."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x[0, 0, 0, 0])):
            x = x + 1
        return x


class Poisoned(Plain):
    """Gives NaN for the second input that it is asked about outside of a trace, and for no other."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += not torch.jit.is_tracing()
        return super().forward(x) * (float("nan") if self.asked == 2 else 1.0)


class Wrapping(nn.Module):
    """Hides what it calls from a look at its own graph."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


NETWORK = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.01)

    def forward(self, x):
        return torch.relu(self.convolution(x))
"""
SAVED = """
with open("saved.pt", "wb") as stream:
    torch.jit.save(torch.jit.trace(Network().eval(), torch.zeros(1, 3, 32, 32), check_trace=False), stream)
"""


def loaded(data: bytes) -> torch.jit.ScriptModule:
    return torch.jit.load(io.BytesIO(data))  # type: ignore[no-any-return, no-untyped-call]


def test_a_trace_computes_what_the_network_computes() -> None:
    network = Plain().eval()
    data, difference, shape = traced_bytes(network, SHAPE)
    assert difference <= 1e-5 and shape == (1, 4, 30, 30)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(data)(x), network(x))


def test_the_saved_bytes_are_the_same_from_another_process_folder_and_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(f"# Another line, another file.\n{NETWORK}\n{SAVED}\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-W", "ignore", "elsewhere.py"]
    subprocess.run(argv, cwd=tmp_path, env=environment, timeout=600, check=True)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(NETWORK, "here.py", "exec"), namespace)
    here, _, _ = traced_bytes(namespace["Network"](), SHAPE)
    there = (tmp_path / "saved.pt").read_bytes()
    assert portable(there) == here != there
    x = torch.ones(SHAPE)
    assert torch.equal(loaded(here)(x), loaded(there)(x))


def test_what_the_process_traced_before_leaves_no_trace_in_the_bytes() -> None:
    first = traced_bytes(Wrapping(Plain()), SHAPE)[0]
    assert traced_bytes(Wrapping(Plain()), SHAPE)[0] == first


def test_nothing_that_names_this_machine_is_left_and_tensors_stay_aligned() -> None:
    data, _, _ = traced_bytes(Plain(), SHAPE)
    assert str(Path(__file__).parent).encode() not in data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert names == sorted(names) and not [name for name in names if "debug" in name]
        for info in archive.infolist():
            header = data[info.header_offset : info.header_offset + 30]
            start = info.header_offset + 30 + int.from_bytes(header[26:28], "little")
            start += int.from_bytes(header[28:30], "little")
            assert info.compress_type == zipfile.ZIP_STORED
            assert start % 64 == 0


def test_rewriting_what_was_rewritten_changes_nothing() -> None:
    data, _, _ = traced_bytes(Plain(), SHAPE)
    assert portable(data) == data


def test_a_trace_that_froze_a_branch_is_refused() -> None:
    with pytest.raises(TraceError, match="depends on its input's values"):
        traced_bytes(Branching(), SHAPE)


def test_a_difference_that_is_no_number_is_refused() -> None:
    with pytest.raises(TraceError, match="differs from the network by nan"):
        traced_bytes(Poisoned(), SHAPE)


@pytest.mark.parametrize(
    ("module", "kind"),
    [(Branching(), "prim::If"), (Looping(), "prim::Loop"), (Wrapping(Branching()), "prim::If")],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_scripted_module_with_control_flow_is_refused(module: nn.Module, kind: str) -> None:
    with pytest.raises(TraceError, match=f"control flow .*{kind}"):
        refuse_control_flow(torch.jit.script(module))  # type: ignore[no-untyped-call]


def test_a_trace_has_no_control_flow() -> None:
    traced = torch.jit.trace(Plain(), torch.zeros(SHAPE), check_trace=False)  # type: ignore[no-untyped-call]
    refuse_control_flow(traced)
    assert not {node.kind() for node in traced.inlined_graph.nodes()} & {"prim::If", "prim::Loop"}


def test_the_step_stores_the_module_with_its_shapes(tmp_path: Path) -> None:
    workspace = Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))
    width = 1 / 16
    network = build_network("dlav0_34", width=width, num_classes=3)
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, tmp_path / "weights.pth")
    checkpoint = Checkpoint(blob=workspace.content.put_file(tmp_path / "weights.pth"))
    settings, spec = NetworkSettings(width=width, num_classes=3), PreprocessSpec(width=64, height=96)
    made = trace.fn(checkpoint, settings, spec, workspace)
    assert made.input_shape == (1, 3, 96, 64) and made.output_shape == (1, 7, 24, 16)
    assert made.parameters == sum(parameter.numel() for parameter in network.parameters())
    module = loaded(workspace.content.verified(made.module).read_bytes())
    x = torch.randn(made.input_shape)
    assert torch.allclose(module(x), network.eval()(x), atol=1e-5)
    assert made.max_difference <= 1e-5
