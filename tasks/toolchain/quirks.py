"""What is odd about the compiler's packages, as a list: what it takes, why, and how it is found out.

When a new release brings a new oddity, it is added here and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Quirk(NamedTuple):
    """One oddity of the compiler's package.

    Attributes:
        name: Short name, part of the environment's key and fingerprint.
        why: What goes wrong without it.
        requirements: Packages to install that the compiler does not declare.
        constraints: Exact versions to allow or to force.
        present: Tells whether an installed package still has the oddity (files to be changed); None where the
            requirements alone cure it.
        mend: Cures it; may be called again on a half-cured package.
    """

    name: str
    why: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    present: Callable[[Path], bool] | None = None
    mend: Callable[[Path], None] | None = None


_GLIBC_FILES = ("libc.so.6", "libm.so.6", "libpthread.so.0")


def bundled_glibc(package: Path, host_version: str | None = None) -> bool:
    """Tell whether the package would load a C library of another version than this machine's.

    Args:
        package: The folder of `tpu_mlir`.
        host_version: The machine's, such as `2.36`; asked of the system by default.

    Returns:
        Whether `lib/third_party` holds such a library, newer or older: a libc must be that of the running loader.
    """
    library = package / "lib" / "third_party" / "libc.so.6"
    if not library.exists():
        return any((library.parent / name).exists() for name in _GLIBC_FILES)
    found = re.search(rb"GNU C Library [^\n]*release version ([0-9.]+[0-9])", library.read_bytes())
    return found is None or found[1].decode() != (host_version or host_glibc())


def host_glibc() -> str:
    """Return the version of this machine's C library, empty where it is not glibc."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
    except ValueError:  # musl does not know the name
        return ""


def set_glibc_aside(package: Path) -> None:
    """Move the bundled C library out of the folder that the package puts on LD_LIBRARY_PATH."""
    folder = package / "lib" / "third_party"
    aside = folder / "set-aside"
    aside.mkdir(exist_ok=True)
    for name in _GLIBC_FILES:
        if (folder / name).exists():
            (folder / name).replace(aside / name)


def not_executable(package: Path) -> bool:
    """Tell whether the package's tools still lack their execute bits."""
    return any(not os.access(tool, os.X_OK) for tool in _tools(package))


def make_executable(package: Path) -> None:
    """Give the tools their execute bits, which the package otherwise does by itself at its first import."""
    for tool in _tools(package):
        tool.chmod(tool.stat().st_mode | 0o111)


def _tools(package: Path) -> list[Path]:
    return [
        *(package / "python" / "tools").glob("*.py"),
        *(path for path in (package / "bin").iterdir() if path.is_file()),
    ]


QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        name="undeclared-psutil",
        why="its Python tools import psutil, which the package does not declare",
        requirements=("psutil",),
    ),
    Quirk(
        name="undeclared-pkg-resources",
        why="its __init__ imports pkg_resources, which setuptools 81 no longer has",
        requirements=("setuptools<81",),
    ),
    Quirk(
        name="undeclared-onnx",
        why="model_transform imports onnx and torchvision for a TorchScript too: the extras torch and onnx bring them",
        requirements=("tpu_mlir[torch,onnx]",),
    ),
    Quirk(
        name="yanked-opencv",
        why="it pins an opencv-python-headless that its authors took back, which installers refuse unless told exactly",
        constraints=("opencv-python-headless==4.8.0.74",),
    ),
    Quirk(
        name="bundled-glibc",
        why="it puts the C library of another distribution on LD_LIBRARY_PATH, so that Python itself stops",
        present=bundled_glibc,
        mend=set_glibc_aside,
    ),
    Quirk(
        name="execute-bits",
        why="its tools get their execute bits at the first import, which fails in a read-only environment",
        present=not_executable,
        mend=make_executable,
    ),
)
