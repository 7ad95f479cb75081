"""Bring a compiler release into an environment of its own, once a machine, and recognise it again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from artifacts.digest import canonical_json, digest_bytes, hex_of
from artifacts.errors import LockTimeout
from artifacts.files import atomic_write, free_bytes, locked
from inference.engines.locate import cache_root as device_cache_root
from tasks.errors import ProvisionFailed
from tasks.progress import shown
from tasks.toolchain.contents import READY, write_contents
from tasks.toolchain.installer import Installer
from tasks.toolchain.model import Toolchain
from tasks.toolchain.quirks import QUIRKS, Quirk

log = logging.getLogger(__name__)

NAME = "tpu-mlir"
LOCKS = Path(__file__).with_name("locks")
NEEDED_BYTES = 8_000_000_000
TOOLS = ("model_transform", "run_calibration", "model_deploy")

_SMOKE = "import tpu_mlir, pymlir, torch, torchvision, onnx, psutil; print('ready')"


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the per-user folder that all checkouts share: `$CENTERNET_CACHE`, else in the XDG cache folder."""
    return device_cache_root(environ).absolute()


class Recipe(NamedTuple):
    """What an environment is made from.

    Attributes:
        version: Release of `tpu_mlir`.
        requirements: What to install, the compiler first.
        constraints: The exact versions to install it in.
        quirks: What to mend afterwards.
    """

    version: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    quirks: tuple[Quirk, ...]

    @property
    def folder(self) -> str:
        """Name of the environment's folder: another recipe gets another one."""
        facts = {"requirements": self.requirements, "constraints": self.constraints, "quirks": self.quirk_names}
        return f"{NAME}-{self.version}-{hex_of(digest_bytes(canonical_json(facts)))[:12]}"

    @property
    def quirk_names(self) -> tuple[str, ...]:
        """Names of the quirks, in order."""
        return tuple(quirk.name for quirk in self.quirks)


def provision(
    version: str,
    *,
    root: Path,
    python: Path | None = None,
    quirks: Sequence[Quirk] = QUIRKS,
    timeout_s: float = 3600.0,
) -> Toolchain:
    """Return the compiler release, installing it first where this machine does not have it.

    One environment a recipe, in `<root>/toolchains/tpu-mlir-<version>-<key>/`. Two runs at once install once; one that
    was killed half way left no `ready.json`, so the next run starts over. An environment whose packages were changed by
    hand since, or whose Python is gone, is made anew.

    Args:
        version: Release of `tpu_mlir`, such as `1.30.2`.
        root: The per-user cache folder.
        python: A Python 3.10 to use; looked for on the machine, then brought by uv, where None.
        quirks: What to mend.
        timeout_s: Longest time for an installation, in seconds.

    Returns:
        The toolchain. No process is started where it stands ready.

    Raises:
        ProvisionFailed: No Python 3.10, no network, too little space or time, or packages that do not install or start.
        StoreNotWritable: The cache folder cannot be written.
    """
    recipe = recipe_of(version, quirks)
    folder = root / "toolchains" / recipe.folder
    known = recognise(folder, version)
    if known is not None:
        return known
    lock = folder.with_name(folder.name + ".lock")
    try:
        with locked(lock, timeout_s=0.0):
            return _made(folder, recipe, python, timeout_s)
    except LockTimeout:
        log.info("another run is installing %s %s: waiting for it", NAME, version)
    with locked(lock):
        return _made(folder, recipe, python, timeout_s)


def recipe_of(version: str, quirks: Sequence[Quirk] = QUIRKS) -> Recipe:
    """Put together what an environment is made from.

    Args:
        version: Release of `tpu_mlir`.
        quirks: Where undeclared packages and pins come from.

    Returns:
        The recipe. Its constraints are those of `locks/` where the release is known there, else the quirks' own.
    """
    asked = {item for quirk in quirks for item in quirk.requirements}
    compiler = {item for item in asked if item.startswith("tpu_mlir")}
    requirements = [*(f"{item}=={version}" for item in sorted(compiler or {"tpu_mlir"})), *sorted(asked - compiler)]
    lock = LOCKS / f"{NAME}-{version}.txt"
    if lock.exists():
        constraints = [line for line in lock.read_text().splitlines() if line and not line.startswith("#")]
    else:
        constraints = sorted({item for quirk in quirks for item in quirk.constraints})
    return Recipe(version, tuple(requirements), tuple(constraints), tuple(quirks))


def package_set(site_packages: Path) -> tuple[str, ...]:
    """Read which packages an environment holds, in which versions, without starting its Python."""
    return tuple(sorted(path.name.removesuffix(".dist-info") for path in site_packages.glob("*.dist-info")))


def fingerprint(version: str, packages: Iterable[str], quirks: Iterable[str]) -> str:
    """Name a toolchain by what decides its results: release, exact package set, mended quirks."""
    facts = {"name": NAME, "version": version, "packages": list(packages), "quirks": list(quirks)}
    return digest_bytes(canonical_json(facts))


def recognise(folder: Path, version: str) -> Toolchain | None:
    """Look whether a finished, unchanged environment stands in a folder; starts no process.

    Args:
        folder: The environment.
        version: The release that it should hold.

    Returns:
        The toolchain, None where there is none, or one that is unfinished, moved, damaged or changed since.
    """
    python = folder / "bin" / "python"
    try:
        facts = json.loads((folder / READY).read_text())
        site_packages = next(folder.glob("lib/python3*/site-packages"))
        quirks = tuple(facts["quirks"])
        # Its scripts hold the path of the interpreter, so that a moved environment is none.
        whole = facts["python"] == str(python) and all(os.access(path, os.X_OK) for path in (python, *_tools(folder)))
        if not whole or facts["fingerprint"] != fingerprint(version, package_set(site_packages), quirks):
            return None
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None
    return Toolchain(
        name=NAME,
        version=version,
        fingerprint=facts["fingerprint"],
        root=str(folder),
        python=str(python),
        quirks=quirks,
    )


def mend(package: Path, quirks: Sequence[Quirk]) -> None:
    """Cure every quirk of an installed package and look again.

    Args:
        package: The folder of `tpu_mlir`.
        quirks: What to cure.

    Raises:
        ProvisionFailed: A quirk is still there after its cure.
    """
    for quirk in quirks:
        if quirk.present and quirk.present(package):
            if quirk.mend:
                quirk.mend(package)
            if quirk.present(package):
                raise ProvisionFailed(
                    f"The quirk {quirk.name} ({quirk.why}) is still there after its cure, in {package}. Correct the "
                    "cure in tasks/toolchain/quirks.py for this release."
                )


def _made(folder: Path, recipe: Recipe, python: Path | None, timeout_s: float) -> Toolchain:
    known = recognise(folder, recipe.version)  # another run may have made it while we waited for the lock
    if known is not None:
        return known
    _check_space(folder.parent)
    if folder.exists():
        log.warning("the compiler's environment is unfinished or was changed by hand: making it anew")
        shutil.rmtree(folder)
    log_path = folder.with_name(folder.name + ".log")
    log.info("installing %s %s (about 6 GB, once a machine); log: %s", NAME, recipe.version, log_path)
    started = time.monotonic()
    with Installer(log_path, timeout_s) as installer, shown(f"install {NAME} {recipe.version}", installer.share_done):
        installer.make_environment(folder, python)
        installer.install(folder, f"{NAME} {recipe.version}", recipe.requirements, recipe.constraints)
        package = _installed(folder, recipe.version, log_path)
        mend(package, recipe.quirks)
        _smoke(installer, folder, recipe.version)
    write_contents(folder)
    # The installer syncs nothing: after a power cut an environment that is called ready would have empty files.
    os.sync()
    _write_ready(folder, recipe, package_set(package.parent))
    log.info("%s %s is ready after %.0f s", NAME, recipe.version, time.monotonic() - started)
    known = recognise(folder, recipe.version)
    if known is None:
        raise ProvisionFailed(f"{folder} changed while it was being made. Run the build again.", log_path)
    return known


def _installed(folder: Path, version: str, log_path: Path) -> Path:
    package = next(folder.glob("lib/python3*/site-packages/tpu_mlir"), None)
    missing = [tool.name for tool in _tools(folder) if not tool.is_file()]
    if package is None or missing:
        raise ProvisionFailed(
            f"Installing {NAME} {version} left no {', '.join(missing) or 'package tpu_mlir'}. Is that release what it "
            "says?",
            log_path,
        )
    return package


def _write_ready(folder: Path, recipe: Recipe, packages: tuple[str, ...]) -> None:
    facts = {
        "name": NAME,
        "version": recipe.version,
        "python": str(folder / "bin" / "python"),
        "fingerprint": fingerprint(recipe.version, packages, recipe.quirk_names),
        "packages": packages,
        "quirks": recipe.quirk_names,
    }
    atomic_write(folder / READY, json.dumps(facts, indent=1).encode())


def _smoke(installer: Installer, folder: Path, version: str) -> None:
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    status, output = installer.run([str(folder / "bin" / "python"), "-c", _SMOKE], environment)
    if status != 0 or "ready" not in output:
        last = (output.strip().splitlines() or ["no message"])[-1]
        raise ProvisionFailed(
            f"{NAME} {version} is installed but does not start: {last[:300]}. If this release has a new oddity, add it "
            "to tasks/toolchain/quirks.py.",
            installer.log_path,
        )
    for tool in _tools(folder):
        # Leaves the bytecode of all that the tools import: commands run side by side and may not write it.
        installer.run([str(tool), "--help"], environment)


def _check_space(folder: Path) -> None:
    free = free_bytes(folder)
    if free is not None and free < NEEDED_BYTES:
        raise ProvisionFailed(
            f"The compiler's environment needs about {NEEDED_BYTES / 1e9:.0f} GB, {folder} has {free / 1e9:.1f} GB "
            "free. Make space, or set CENTERNET_CACHE to a folder on a larger disk."
        )


def _tools(folder: Path) -> list[Path]:
    return [folder / "bin" / tool for tool in TOOLS]
