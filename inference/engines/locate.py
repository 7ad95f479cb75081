"""Finding the compiler environment's Python, which runs the simulator."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Mapping, Optional, Tuple

from artifacts.bounded import read_bounded
from artifacts.strict_json import decoded
from inference.errors import EngineNotFound

PYTHON_VARIABLE = "CENTERNET_TOOLCHAIN_PYTHON"

TOOLCHAIN_NAME = "tpu-mlir"
_MAX_MARKER_BYTES = 1 << 20


def simulator_python(explicit: Optional[Path] = None, environment: Optional[Mapping[str, str]] = None) -> Path:
    """Find the Python whose environment holds the vendor's compiler, and with it the simulator.

    In this order: the path given; the variable ``CENTERNET_TOOLCHAIN_PYTHON``; the newest finished
    environment that the build has provisioned below the per-user cache.

    Args:
        explicit: The interpreter to use; nothing else is looked at then.
        environment: Environment variables; None takes this process's own.

    Returns:
        An executable file.

    Raises:
        EngineNotFound: There is none, or the one that was named is no executable file.
    """
    environment = os.environ if environment is None else environment
    named = explicit or (Path(environment[PYTHON_VARIABLE]) if environment.get(PYTHON_VARIABLE) else None)
    if named is not None:
        if not _is_executable(named):
            source = "given" if explicit else f"named by {PYTHON_VARIABLE}"
            raise EngineNotFound(f"the Python {source} for the simulator, {named}, is no executable file")
        return Path(named)
    toolchains = cache_root(environment) / "toolchains"
    found = sorted(_provisioned(toolchains))
    if not found:
        raise EngineNotFound(
            f"the simulator is part of the compiler's environment, and {toolchains} holds none: `make build` "
            f"provisions it, or set {PYTHON_VARIABLE} to the Python of an environment with tpu_mlir"
        )
    return found[-1][-1]


def cache_root(environment: Mapping[str, str]) -> Path:
    """The per-user cache of the project: ``$CENTERNET_CACHE``, else a folder in the user's own cache.

    Args:
        environment: Environment variables.
    """
    if environment.get("CENTERNET_CACHE"):
        return Path(environment["CENTERNET_CACHE"])
    # The XDG Base Directory Specification: empty counts as unset, and a relative path is ignored.
    base = Path(environment.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else Path.home() / ".cache") / "centernet-sophon"


def _provisioned(toolchains: Path) -> List[Tuple[Tuple[int, ...], float, Path]]:
    """Version, time and interpreter of each environment whose provisioning was finished."""
    found = []
    for marker in toolchains.glob(f"{TOOLCHAIN_NAME}-*/ready.json"):
        try:
            ready = decoded(read_bounded(marker, _MAX_MARKER_BYTES))
            python, version = Path(ready["python"]), str(ready.get("version", ""))
            if _is_executable(python):
                found.append((_version_key(version), marker.stat().st_mtime, python))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another process is removing it, or it is no marker of ours
    return found


def _version_key(version: str) -> Tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(str(path), os.X_OK)
