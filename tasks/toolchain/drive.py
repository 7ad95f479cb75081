"""Run a planned command on stored inputs, in a scratch folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from artifacts.files import storage_errors
from artifacts.store import Blob
from tasks.records import Evidence
from tasks.toolchain import layer_groups
from tasks.toolchain.command import LAYER_GROUPS, Command
from tasks.toolchain.contents import check_before_use
from tasks.toolchain.model import Toolchain
from tasks.toolchain.run import run
from tasks.workspace import Workspace


class Ran(NamedTuple):
    """A command that did its work.

    Attributes:
        folder: Its scratch folder, there until the block is left.
        evidence: How it went.
    """

    folder: Path
    evidence: Evidence


@contextlib.contextmanager
def driven(
    command: Command,
    toolchain: Toolchain,
    workspace: Workspace,
    inputs: Mapping[str, Blob | bytes],
    *,
    omp_threads: int,
) -> Iterator[Ran]:
    """Run a command on copies of its inputs and give its folder to the block.

    Args:
        command: What to run.
        toolchain: With what.
        workspace: Where the inputs are and where the log stays if the command fails.
        inputs: File name in the scratch folder, or below it, to stored or literal bytes.
        omp_threads: OMP_NUM_THREADS of the command.

    Yields:
        Its folder and evidence.

    Raises:
        ToolchainError: As `run`; the log is kept under the store's `logs/`.
        StoreError: An input is missing or damaged, or the disk is full.
    """
    check_before_use(toolchain)
    content = workspace.content
    slug = re.sub(r"[^A-Za-z0-9]+", "-", command.name)
    with content.scratch(slug) as folder:
        with storage_errors(folder):
            for name, source in inputs.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(source, bytes):
                    (folder / name).write_bytes(source)
                else:
                    # A copy, not a link: the compiler rewrites some of its inputs in place.
                    shutil.copyfile(content.verified(source), folder / name)
        log_path = Path(workspace.store) / "logs" / f"{slug}-{os.getpid()}-{secrets.token_hex(3)}.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with _layer_groups(command, workspace, toolchain, folder):
            seconds = run(command, toolchain, folder, log_path, omp_threads=omp_threads)
        evidence = Evidence(
            argv=command.argv,
            log=content.put_file(log_path),
            seconds=seconds,
            tool=f"{toolchain.name} {toolchain.version}",
        )
        log_path.unlink()
        yield Ran(folder, evidence)


@contextlib.contextmanager
def _layer_groups(command: Command, workspace: Workspace, toolchain: Toolchain, folder: Path) -> Iterator[None]:
    if LAYER_GROUPS not in command.arguments:
        yield
        return
    shared = workspace.layer_groups / toolchain.fingerprint.rpartition(":")[2][:16] / command.search
    layer_groups.lend(shared, folder / LAYER_GROUPS)
    yield
    # Only after success: a command that failed or was ended may have left half an entry.
    layer_groups.take_back(folder / LAYER_GROUPS, shared)
