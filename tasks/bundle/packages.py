"""Packages of an environment as wheels: uv says which versions, pip fetches them, or builds what has no wheel."""

from __future__ import annotations

import lzma
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import uv
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from artifacts.environment import for_programs
from settings.locations import PROJECT, scrubbed
from tasks.bundle.lock import alone
from tasks.errors import BundleNotMade
from tasks.toolchain.installer import PYTHON, Installer, uv_environment

TIMEOUT_S = 3600.0
DEVICE_GLIBC = "2.17"
GLIBCS = ("2.17", "2.28", *(f"2.{minor}" for minor in range(31, 41)))
"""The C libraries that uv can be told, oldest first."""
PYTHONS = tuple(f"3.{minor}" for minor in range(8, 16))
"""The Pythons that a device bundle may be for, oldest first."""
_SAID_LINES = 6
_SCRATCH = ".fetching"
# What zipfile raises of bytes that are no archive, or of one that was cut or changed anywhere.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")
# What pip says of indexes that lack a package, or of what it is asked to take.
_NOISE = re.compile(r"^(WARNING: |ERROR: Ignored |Reason for being yanked)")


class Target(NamedTuple):
    """What packages shall run on.

    Attributes:
        python: Such as `3.8`.
        machine: Such as `aarch64`.
        glibc: The oldest C library that they shall run with.
    """

    python: str
    machine: str
    glibc: str = DEVICE_GLIBC

    @property
    def platform(self) -> str:
        """The target as uv names it: with the newest C library of those it knows that is not newer."""
        return f"{self.machine}-manylinux_{nearest_glibc(self.glibc).replace('.', '_')}"

    @property
    def tags(self) -> tuple[str, ...]:
        """Every name that wheels for it may bear (PEP 600 and the three older ones)."""
        major, minor = (int(part) for part in self.glibc.split("."))
        older = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        tags = []
        for one in range(minor, 4, -1):
            tags += [f"manylinux_{major}_{one}_{self.machine}"]
            tags += [f"{older[one]}_{self.machine}"] if one in older else []
        return tuple(tags)

    def folder(self, root: Path, purpose: str) -> Path:
        """Return where wheels for it are kept: what runs with a newer C library is never taken for an older one."""
        return root / f"{purpose}-{self.python}-{self.machine}-glibc{self.glibc}"


def nearest_glibc(version: str) -> str:
    """Return the newest C library that uv can be told and that is not newer than another; else the oldest."""
    return max((one for one in GLIBCS if Version(one) <= Version(version)), key=Version, default=GLIBCS[0])


def resolved_pins(
    requirements: Iterable[str], constraints: Iterable[str], target: Target, *, wheels_only: bool = False
) -> tuple[str, ...]:
    """Let uv choose versions for a Python and a machine that need not be these.

    Args:
        requirements: What is wanted.
        constraints: Exact versions of some packages.
        target: For what.
        wheels_only: Choose no version that would have to be built, even where it is newer.

    Returns:
        All that it takes, as `name==version`.

    Raises:
        BundleNotMade: There are no such packages, or no index can be reached.
    """
    asked, bounds = "\n".join(requirements), "\n".join(constraints)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "asked.in").write_text(asked + "\n")
        (folder / "bounds.txt").write_text(bounds + "\n")
        command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url"]
        command += ["--python-version", target.python, "--python-platform", target.platform]
        command += ["--only-binary", ":all:"] if wheels_only else []
        command += ["--constraint", str(folder / "bounds.txt"), str(folder / "asked.in")]
        lines = _run(command).splitlines()
    return tuple(pin[0] for line in lines if (pin := _PIN.match(line)))


def collect_here(pins: Sequence[str], python: Path, folder: Path) -> dict[str, Path]:
    """Bring packages for a Python of this machine into a folder; what has no wheel is built.

    Args:
        pins: The packages.
        python: An interpreter that has pip.
        folder: Where to; wheels that lie there are used again where they are whole.

    Returns:
        File name to wheel, one for each package.

    Raises:
        BundleNotMade: One cannot be had or built.
    """
    return _collected([str(python), "-m", "pip", "wheel", "--wheel-dir"], pins, folder)


def collect_for(pins: Sequence[str], target: Target, folder: Path) -> dict[str, Path]:
    """Bring packages for another Python or machine into a folder; wheels only, for nothing can be built for those.

    Args:
        pins: The packages.
        target: For what.
        folder: Where to; wheels that lie there are used again where they are whole.

    Returns:
        File name to wheel, one for each package.

    Raises:
        BundleNotMade: One has no wheel for it, or cannot be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--only-binary", ":all:"]
    command += ["--python-version", target.python, "--implementation", "cp"]
    command += [part for tag in target.tags for part in ("--platform", tag)]
    return _collected([*command, "--dest"], pins, folder)


def wheel_of(pin: str, names: Iterable[str]) -> str | None:
    """Return the wheel of a package among some file names, None where there is none.

    Args:
        pin: `name==version`; without a local part such as `+cpu` any local part will do.
        names: File names.
    """
    name, version = pin.split("==")
    for one in sorted(names):
        try:
            found, made, _, _ = parse_wheel_filename(one)
        except InvalidWheelFilename:
            continue
        if found == canonicalize_name(name) and Version(version) in (made, Version(made.public)):
            return one
    return None


def helper(python: Path, folder: Path) -> Path:
    """Make an environment that holds nothing but pip.

    Args:
        python: Its Python.
        folder: Where; one that is there is used.

    Returns:
        Its interpreter.

    Raises:
        BundleNotMade: It cannot be made.
    """
    interpreter, whole = folder / "bin" / "python", folder / "whole"
    if not (interpreter.exists() and whole.exists()):
        _run([uv.find_uv_bin(), "venv", "--quiet", "--clear", "--seed", "--python", str(python), str(folder)])
        # Last: one that was killed in the making has a Python, and no pip.
        whole.touch()
    return interpreter


def compilers_python(named: Path | None) -> Path:
    """Return a Python of the compiler's version, looked for as when its environment is made.

    Args:
        named: The one that the settings name, None where they leave it open.

    Raises:
        BundleNotMade: There is none, and uv cannot bring one.
    """
    if named is not None:
        return named
    with tempfile.TemporaryDirectory() as folder, Installer(Path(folder) / "log", TIMEOUT_S) as installer:
        found = installer.find_python()
    if found is None:
        raise BundleNotMade(
            f"Packages for the compiler are collected by a Python {PYTHON}: none was found on this machine. Install "
            "one, or name it by `toolchain.python` in the profile."
        )
    return found


def device_wheel(folder: Path) -> Path:
    """Build the project's own device package.

    Returns:
        The wheel.

    Raises:
        BundleNotMade: It cannot be built.
    """
    _run([uv.find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(PROJECT)])
    return max(folder.glob("centernet_sophon_device-*.whl"), key=os.path.getmtime)


def _collected(command: Sequence[str], pins: Sequence[str], folder: Path) -> dict[str, Path]:
    """Let a command that ends in the name of an option bring what is missing into a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(f"{folder.name}.lock")):
        folder.mkdir(exist_ok=True)
        for damaged in (path for path in folder.glob("*.whl") if not _is_whole(path)):
            damaged.unlink()
        try:
            if missing := [pin for pin in pins if wheel_of(pin, _names(folder)) is None]:
                _fetch(command, missing, folder)
        finally:
            with suppress(OSError):  # what holds wheels stays
                folder.rmdir()
        found = {pin: wheel_of(pin, _names(folder)) for pin in pins}
    if absent := [pin for pin, name in found.items() if name is None]:
        raise BundleNotMade(f"pip left no wheel of {', '.join(absent[:5])} in {folder}.")
    return {name: folder / name for name in found.values() if name is not None}


def _fetch(command: Sequence[str], pins: Sequence[str], folder: Path) -> None:
    # pip copies under the final name, so that one that is ended leaves half a wheel.
    scratch = folder / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    wanted = scratch / "pins.txt"
    wanted.write_text("".join(f"{pin}\n" for pin in pins))
    try:
        _run([*command, str(scratch), "--quiet", "--no-deps", "--requirement", str(wanted)])
    finally:
        for path in scratch.glob("*.whl"):
            if _is_whole(path):
                path.replace(folder / path.name)
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as wheel:
            return wheel.testzip() is None
    except _DAMAGED:
        return False


def _short(command: Sequence[str]) -> str:
    return shlex.join([Path(command[0]).name, *command[1:4]])


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.whl")]


def _run(command: Sequence[str]) -> str:
    environment = {**uv_environment(os.environ), **for_programs(os.environ, "PIP_", network=True)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleNotMade(f"{_short(command)} did not end in {TIMEOUT_S:g} s. Is the network slow?") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not _NOISE.match(line)]
        said = scrubbed(" ".join(lines[-_SAID_LINES:]))
        raise BundleNotMade(
            f"Packages could not be had ({_short(command)}): {said[-600:]} Check the network and the index "
            "that pip and uv are told, then run this again: what was fetched is kept."
        )
    return done.stdout
