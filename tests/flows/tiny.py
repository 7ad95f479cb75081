"""A whole build in seconds: a network of one sixteenth of the width, a stand-in compiler, two scenes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from artifacts.digest import digest_bytes
from tasks import journal
from tasks.journal import Entry
from tasks.network import build_network
from tasks.toolchain.model import Toolchain
from tests.flows.folder import BuildFolder
from tests.flows.stand_in import pymlir

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).parent / "stand_in"
DEADLINE_S = 180.0

PROFILE = """
extends = "sample"
matrix = [
  {{chip = "BM1688", precisions = ["fp32"]}},
  {{chip = "BM1684X", precisions = ["int8"], batches = [4]}},
]

[network]
width = 0.0625
[preprocess]
width = 64
height = 64
[weights]
mirrors = ["{folder}/weights.pth"]
record_first_use = true
[calibration]
count = 4
method = "kl"
source = {{kind = "generated", count = 8}}
[evaluation]
source = {{kind = "generated", count = 2}}
[simulator]
images = 1
skip = []
[quantize]
escalation = []
"""

PROGRAM = """
import sys
from pathlib import Path
from tasks.toolchain.model import Toolchain
import tasks.toolchain.provision
found = Toolchain.model_validate_json(Path(sys.argv[1]).read_text())
tasks.toolchain.provision.provision = lambda *args, **options: found
from flows.command import run_build
sys.exit(run_build(sys.argv[2:]))
"""


class TinyBuild(BuildFolder):
    """A folder with everything that a build reads and leaves.

    Attributes:
        environment: The stand-in compiler's folder.
        toolchain: What provisioning gives.
    """

    def __init__(self, folder: Path, like: TinyBuild | None = None) -> None:
        """Make it, with the store and the releases of another one where that is given."""
        super().__init__(folder, folder / "cache", PROFILE)
        for name in ("store", "registry", "release") if like else ():
            shutil.copytree(like.folder / name, folder / name)  # type: ignore[union-attr]
        self.environment = folder / "compiler"
        self.toolchain = write_environment(self.environment)
        write_weights(folder / "weights.pth")

    def calls(self) -> list[str]:
        """The commands of the compiler that were started so far."""
        path = self.environment / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def switch(self, name: str, pattern: str | None) -> None:
        """Turn one of the stand-in's switches on for commands with a pattern in their line, or off."""
        if pattern is None:
            (self.environment / name).unlink(missing_ok=True)
        else:
            (self.environment / name).write_text(pattern)

    def journals(self) -> list[str]:
        """The journals of all runs, as text."""
        return [path.read_text() for path in self.workspace.journals.glob("*.jsonl")]

    def entries_of_all(self, slot: str) -> list[Entry]:
        """What each run did about a slot."""
        runs = [path.stem for path in self.workspace.journals.glob("*.jsonl")]
        return [entry for run in runs for entry in journal.read(self.workspace, run) if entry.slot == slot]

    def start(self, *arguments: str, preamble: str = "", **environment: str) -> subprocess.Popen[str]:
        """Start the build as a process of its own, which runs a preamble first."""
        (self.folder / "toolchain.json").write_text(self.toolchain.model_dump_json())
        command = [
            sys.executable,
            "-c",
            preamble + PROGRAM,
            str(self.folder / "toolchain.json"),
            "--profile",
            str(self.profile),
        ]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**inherited, "CENTERNET_CACHE": self.workspace.cache, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def write_environment(folder: Path, version: str = "1.30.2") -> Toolchain:
    """Make the environment of a release of the stand-in compiler."""
    for name in ("bin", "lib"):
        (folder / name).mkdir(parents=True)
    for tool in ("model_transform", "run_calibration", "model_deploy"):
        command = f'exec "{sys.executable}" -IS "{STAND_IN}/compiler.py" {tool} "{folder}" "$@"'
        write_script(folder / "bin" / tool, command)
    # The first argument is -I, which would hide PYTHONPATH.
    variables = f'PYTHONPATH="{STAND_IN}" STAND_IN_ROOT="{folder}"'
    write_script(folder / "bin" / "python", f'shift; {variables} exec "{sys.executable}" "$@"')
    for chip in ("bm1684", "bm1684x", "bm1688"):
        # Any shared library will do, and this one the worker loads anyway.
        (folder / "lib" / f"libcmodel_{chip}.so").symlink_to(
            sys.modules["numpy._core._multiarray_umath"].__file__ or ""
        )
    return Toolchain(
        name="tpu-mlir",
        version=version,
        fingerprint=digest_bytes(f"stand-in {version}".encode()),
        root=str(folder),
        python=str(folder / "bin" / "python"),
    )


def write_script(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def write_weights(path: Path) -> None:
    """Write a checkpoint of which the heads give the stand-in's constants for any image."""
    torch.manual_seed(0)
    state = build_network("dlav0_34", width=1 / 16, num_classes=80).state_dict()
    for head, value in (("hm", pymlir.HEATMAP), ("wh", pymlir.SIZE), ("reg", pymlir.OFFSET)):
        state[f"{head}.2.weight"].zero_()
        state[f"{head}.2.bias"].fill_(value)
    torch.save({"epoch": 1, "state_dict": state}, path)


def wait_until(condition: Callable[[], object], processes: Sequence[subprocess.Popen[str]] = ()) -> None:
    """Wait for something, not longer than the processes that bring it about are there."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, ended[0].communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
