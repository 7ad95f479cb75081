"""Putting bundles together: one for a build, one for a device."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from artifacts.reference import Reference
from settings.locations import PROJECT
from settings.model import Settings
from tasks.bundle import packages
from tasks.bundle.inputs import PARENT, PROFILE, inputs_of
from tasks.bundle.manifest import Manifest, plain, this_host
from tasks.bundle.pack import listed, pack
from tasks.bundle.release import EXPECTED, copy_release, expected_text, layout_files
from tasks.packages import device_package
from tasks.toolchain.installer import PYTHON
from tasks.toolchain.provision import Recipe, recipe_of
from tasks.workspace import Workspace

WHEELS = PROJECT / "build" / "wheelhouse"
INSTALLER = Path(__file__).with_name("install.py")


class Made(NamedTuple):
    """A bundle that was written.

    Attributes:
        manifest: What it says about itself.
        size: In bytes.
    """

    manifest: Manifest
    size: int


def build_bundle(
    settings: Settings, profile: str, workspace: Workspace, target: Path, *, beside: Reference | None = None
) -> Made:
    """Write everything that `make build` needs on a machine like this one into one file.

    Args:
        settings: Of the build.
        profile: What they were read from.
        workspace: Where bytes are kept.
        target: The file.
        beside: A release that was built from the same settings: its digests travel along and are compared.

    Returns:
        What was written.

    Raises:
        BundleNotMade: Packages cannot be had.
        DownloadError: Weights or images cannot be had.
        ArtifactError: The release cannot be read, or the file cannot be written.
    """
    inputs = inputs_of(settings, profile, workspace)
    recipe = recipe_of(settings.toolchain.version)
    files = {**inputs.files, **build_wheels(), **toolchain_wheels(recipe, settings.toolchain.python)}
    texts = {PROFILE: inputs.profile}
    if inputs.parent is not None:
        texts[PARENT] = inputs.parent
    if beside is not None:
        texts[EXPECTED] = expected_text(beside)
    host = this_host()
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in texts.items():
            files[name] = Path(scratch) / name
            files[name].write_text(text)
        manifest = Manifest(
            kind="build",
            project=device_package()[1],
            profile=plain(Path(profile).stem),
            toolchain=recipe.version,
            machine=host.machine,
            glibc=host.glibc,
            pythons={"build": host.python, "toolchain": PYTHON},
            files=listed(files),
        )
        return Made(manifest, pack(manifest, files, target))


def device_bundle(release: Reference, target: packages.Target, path: Path) -> Made:
    """Write a release and all that a board installs into one file.

    Args:
        release: Which.
        target: The board's Python and machine.
        path: The file.

    Returns:
        What was written.

    Raises:
        BundleNotMade: A package has no wheel for the board, or cannot be had.
        ArtifactError: The release cannot be read, or the file cannot be written.
    """
    name, version, _ = device_package()
    with tempfile.TemporaryDirectory(dir=_made(PROJECT / "build")) as scratch:
        wheel = packages.device_wheel(Path(scratch) / "wheel")
        pins = packages.resolved_pins([f"{name}[signatures] @ {wheel.as_uri()}"], (), target)
        kept = WHEELS / f"device-{target.python}-{target.machine}"
        files = {f"wheels/{one}": at for one, at in packages.collect_for(pins, target, kept).items()}
        subject = copy_release(release, Path(scratch) / "release")
        files |= {f"release/{one}": at for one, at in layout_files(Path(scratch) / "release").items()}
        files |= {f"wheels/{wheel.name}": wheel, INSTALLER.name: INSTALLER}
        manifest = Manifest(
            kind="device",
            project=version,
            profile=f"{subject.record.name}:{subject.record.version}",
            toolchain="",
            machine=target.machine,
            glibc=target.glibc,
            pythons={"device": target.python},
            files=listed(files),
        )
        return Made(manifest, pack(manifest, files, path))


def build_wheels() -> dict[str, Path]:
    """Collect what `make` installs into the build environment: name in the bundle to wheel."""
    # Not what is installed here: that may be older than the lists, and the other machine goes by the lists.
    host = this_host()
    constraints = (PROJECT / "constraints.txt").read_text().splitlines()
    target = packages.Target(host.python, host.machine, host.glibc)
    pins = packages.resolved_pins([f"-r {PROJECT / 'requirements-dev.txt'}"], constraints, target)
    kept = WHEELS / f"build-{host.python}-{host.machine}"
    found = packages.collect_here(pins, packages.helper(Path(sys.executable), kept / "pip"), kept)
    return {f"wheels/build/{name}": path for name, path in found.items()}


def toolchain_wheels(recipe: Recipe, python: Path | None) -> dict[str, Path]:
    """Collect the packages of the compiler's environment: name in the bundle to wheel."""
    host = this_host()
    target = packages.Target(PYTHON, host.machine, host.glibc)
    pins = packages.resolved_pins(recipe.requirements, recipe.constraints, target)
    kept = WHEELS / f"toolchain-{PYTHON}-{host.machine}"
    found = packages.collect_here(pins, packages.helper(packages.compilers_python(python), kept / "pip"), kept)
    return {f"wheels/toolchain/{name}": path for name, path in found.items()}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
