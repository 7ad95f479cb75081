"""A compiler environment of stand-in commands, and the processes that they start."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import TOOLS

DATA = Path(__file__).parent / "data"
PATIENCE_S = 300.0


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
        self.toolchain = Toolchain(
            name="tpu-mlir",
            version="1.30.2",
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
