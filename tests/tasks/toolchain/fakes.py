"""Stand-ins for the compiler's environment and for uv, and the processes that they start."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.toolchain import graph
from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import TOOLS, provision, recipe_of

DATA = Path(__file__).parent / "data"
PATIENCE_S = 300.0
VERSION = "1.30.2"


def write_weights(path: Path) -> None:
    """Write an archive with every weight that the stand-in network names."""
    network = graph.parse((DATA / "three_heads.mlir").read_text())
    weights = [one for one in network.operations.values() if one.kind == "top.Weight"]
    np.savez(path, **{one.name: np.ones(one.shape, np.float32) for one in weights})  # type: ignore[arg-type]


class FakeToolchain:
    """The stand-in environment; `toolchain` is what the code under test gets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir(parents=True)
        source = (Path(__file__).parent / "fake_tool.py").read_text()
        for tool in TOOLS:
            path = root / "bin" / tool
            path.write_text(f"#!{sys.executable} -IS\n{source}")
            path.chmod(0o755)
        (root / "network.mlir").write_text((DATA / "three_heads.mlir").read_text())
        write_weights(root / "weights.npz")
        self.toolchain = Toolchain(
            name="tpu-mlir",
            version=VERSION,
            fingerprint="sha256:" + "f" * 64,
            root=str(root),
            python=sys.executable,
        )

    def behave(self, **wanted: Any) -> None:
        """Tell the commands what to do beside, or instead of, their work."""
        (self.root / "behaviour.json").write_text(json.dumps(wanted))

    def noted(self, name: str) -> list[str]:
        """Return the lines that the commands wrote down under a name."""
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_pids(self, count: int) -> list[int]:
        """Wait until that many processes of a tree have written down their ids."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.noted("pids")) < count:
            assert time.monotonic() < deadline, "the tree of processes did not start"
            time.sleep(0.02)
        return [int(pid) for pid in self.noted("pids")]


class FakeUv:
    """The stand-in for uv, and a cache folder to provision in."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        folder.mkdir()
        self.path = folder / "uv"
        source = Path(__file__).with_name("fake_uv.py").read_text()
        self.path.write_text(f"#!{sys.executable} -IS\n{source}")
        self.path.chmod(0o755)

    def behave(self, **wanted: Any) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps(wanted))

    def calls(self, kind: str = "") -> list[str]:
        path = self.folder / "calls"
        return [line for line in path.read_text().splitlines() if line.startswith(kind)] if path.exists() else []

    def installer_pid(self) -> int:
        """Wait until an installation is under way; return the id of its process."""
        deadline = time.monotonic() + PATIENCE_S
        while not (self.folder / "pid").exists() or not (self.folder / "pid").read_text():
            assert time.monotonic() < deadline, "the installation did not start"
            time.sleep(0.02)
        return int((self.folder / "pid").read_text())

    def provision(self, **options: Any) -> Toolchain:
        return provision(VERSION, root=self.cache, **options)

    @property
    def environment(self) -> Path:
        return self.cache / "toolchains" / recipe_of(VERSION).folder


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> bool:
    """Wait until none of the processes runs; False where one still does after a long time."""
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill_all(pids: list[int]) -> None:
    """End what a failed test may have left."""
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, 9)
