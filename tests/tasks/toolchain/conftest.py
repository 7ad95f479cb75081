from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.workspace import Workspace
from tests.tasks.toolchain.fakes import FakeToolchain, kill_all


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeToolchain]:
    """A compiler environment of stand-in commands; what a failed test leaves running is ended."""
    toolchain = FakeToolchain(tmp_path / "environment")
    yield toolchain
    kill_all([int(pid) for pid in toolchain.noted("pids")])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A store of its own."""
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))
