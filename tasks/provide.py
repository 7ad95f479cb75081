"""The compiler as a task of the flow."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from settings.sections import ToolchainSettings
from tasks.errors import ToolchainDiffers
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc.provide import provide
from tasks.toolchain.provision import provision
from tasks.workspace import Workspace


@task(task_run_name="provide tpu-mlir {driving.version}", cache_policy=NO_CACHE)
def provide_toolchain(driving: ToolchainSettings, workspace: Workspace) -> Toolchain:
    """Find the compiler's environment on this machine, or make it. Starts no process where it stands ready.

    Args:
        driving: Which release, and the Python to use.
        workspace: Where environments are kept.

    Returns:
        The toolchain. Never cached: it is a fact about this machine.

    Raises:
        ProvisionFailed: It cannot be made.
    """
    limit = driving.timeouts.provision
    return provision(driving.version, root=Path(workspace.cache), python=driving.python, timeout_s=limit)


@task(task_run_name="look for tpu-nntc", cache_policy=NO_CACHE)
def provide_nntc(driving: ToolchainSettings, workspace: Workspace) -> Toolchain:
    """Find tpu-nntc where the settings say that it is.

    Args:
        driving: Where it is.
        workspace: Where the programs are kept by which it is started.

    Returns:
        The toolchain. Never cached: it is a fact about this machine.

    Raises:
        ToolchainMissing: It is not there.
    """
    return provide(driving.nntc, root=Path(workspace.cache))


def own_toolchain(sent: Toolchain, cache: str) -> Toolchain:
    """Find on this machine the compiler that another one works with, or make it.

    Args:
        sent: The compiler there.
        cache: Where environments are kept here.

    Returns:
        The compiler here.

    Raises:
        ProvisionFailed: It cannot be made.
        ToolchainDiffers: What stands here is another one under the same version.
    """
    found = provision(sent.version, root=Path(cache))
    if found.fingerprint != sent.fingerprint:
        raise ToolchainDiffers(f"{sent.name} {sent.version}", sent.fingerprint, found.fingerprint, found.root)
    return found
