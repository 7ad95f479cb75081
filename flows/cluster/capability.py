"""What a worker must have in common with a build: our code, the packages that results depend on, and Python.

A worker offers these to the scheduler as resources, as many of each as it has slots, and every step asks for one of
each. So the scheduler itself never gives a step to a worker that would do it differently, and builds of several
versions of the project may share a scheduler.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from artifacts.digest import canonical_json, digest_bytes, hex_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("artifacts", "inference", "settings", "tasks", "flows")

PREFIX = "centernet-"

# Those that make results, and those whose objects travel between the machines.
_DECIDING = (
    *("torch", "numpy", "opencv-python-headless", "pycocotools", "pydantic"),
    *("prefect", "prefect-dask", "dask", "distributed"),
)
_SHOWN = 12


@functools.lru_cache(maxsize=1)
def capabilities() -> Mapping[str, str]:
    """Return what this process has, by kind; equal texts mean equal things."""
    return {
        "code": code_digest(ROOT)[:_SHOWN],
        "packages": _digest(package_versions())[:_SHOWN],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def resources(slots: float) -> dict[str, float]:
    """Return the names under which Dask knows the capabilities, each so many times."""
    return {f"{PREFIX}{kind}-{value}": slots for kind, value in capabilities().items()}


def lacking(names: Iterable[str]) -> str:
    """Tell what a worker has in place of what this process has, by the names of its resources; empty where it fits."""
    ours = [name.removeprefix(PREFIX).partition("-") for name in names if name.startswith(PREFIX)]
    if not ours:
        return "not started by python -m flows.worker"
    has = {kind: value for kind, _, value in ours}
    wanted = capabilities().items()
    return ", ".join(
        f"{kind} {has.get(kind, 'none')} instead of {value}" for kind, value in wanted if has.get(kind) != value
    )


def code_digest(root: Path) -> str:
    """Name the project's code by its bytes: modules, and the lists of the compiler's versions.

    Args:
        root: The folder that holds the packages.

    Returns:
        64 hexadecimal digits.
    """
    files = [path for name in PACKAGES for kind in ("*.py", "locks/*.txt") for path in (root / name).rglob(kind)]
    return _digest({path.relative_to(root).as_posix(): digest_bytes(path.read_bytes()) for path in files})


def package_versions() -> Mapping[str, str]:
    """Return the versions of the packages that results depend on."""
    return {name: _version(name) for name in _DECIDING}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _digest(facts: Mapping[str, str]) -> str:
    return hex_of(digest_bytes(canonical_json(facts)))
