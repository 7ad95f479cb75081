"""Builds with the real compiler in folders of their own, and the processes below them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tasks.toolchain.provision import cache_root
from tests.flows.folder import BuildFolder

ROOT = Path(__file__).parents[2]
PATIENCE_S = 900.0

# A quarter of the sample's input: what is looked at here is the pipeline.
REDUCED = """
extends = "sample"
matrix = [{{chip = "BM1688", precisions = ["fp32", "int8"]}}]
preprocess = {{width = 128, height = 128}}
[calibration]
count = 24
source = {{kind = "generated", count = 40}}
[evaluation]
source = {{kind = "generated", count = 8}}
[gate]
max_ap_drop = 0.5
"""


class WholeBuild(BuildFolder):
    """A folder with everything that a build leaves, and the command that makes it."""

    def __init__(self, folder: Path, profile: str = REDUCED) -> None:
        super().__init__(folder, cache_root(), profile)
        self.errors = folder / "stderr"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the build; what it shows goes to `errors` and `stdout`."""
        command = [sys.executable, "-m", "flows.build", "--profile", str(self.profile), *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        with self.errors.open("wb") as errors, (self.folder / "stdout").open("wb") as output:
            return subprocess.Popen(command, cwd=ROOT, env={**inherited, **environment}, stdout=output, stderr=errors)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run the build to its end, which is a good one, and return what it shows."""
        process = self.start(*arguments, **environment)
        assert process.wait(PATIENCE_S) == 0, self.errors.read_text()
        return (self.folder / "stdout").read_text()


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def wait_until_gone(pids: Iterable[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)))
