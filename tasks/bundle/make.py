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
from tasks.bundle.inputs import PROFILE, check_carried, inputs_of
from tasks.bundle.manifest import Manifest, plain, this_host
from tasks.bundle.pack import Packed, checked_target, listed, pack
from tasks.bundle.release import EXPECTED, copy_release, differences, expected_text, layout_files
from tasks.errors import BundleNotMade
from tasks.packages import device_package
from tasks.signing import Subject
from tasks.toolchain.installer import PYTHON
from tasks.toolchain.provision import NAME, Recipe, recipe_of
from tasks.workspace import Workspace

WHEELS = PROJECT / "build" / "wheelhouse"
INSTALLER = {name: Path(__file__).with_name(name) for name in ("install.py", "board.py")}


class Made(NamedTuple):
    """A bundle that was written.

    Attributes:
        manifest: What it says about itself.
        file: The file itself.
        release: What a device bundle carries; None in one for a build.
    """

    manifest: Manifest
    file: Packed
    release: Subject | None = None


class Origin(NamedTuple):
    """The profile whose release is meant where none is named.

    Attributes:
        profile: Its name, or its file.
        settings: What it comes to.
    """

    profile: str
    settings: Settings


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
        BundleNotMade: Packages cannot be had; or the profile cannot be carried, or the file not be written there.
        DownloadError: Weights or images cannot be had.
        ArtifactError: The release cannot be read, or the file cannot be written.
    """
    # What may be refused comes before what takes an hour.
    target = checked_target(target)
    if settings.toolchain.name != NAME:
        raise BundleNotMade(f"A bundle carries {NAME} and not {settings.toolchain.name}, which is no package.")
    with tempfile.TemporaryDirectory() as scratch:
        texts = {EXPECTED: expected_text(beside)} if beside is not None else {}
        inputs = inputs_of(settings, profile, workspace)
        texts[PROFILE] = inputs.profile
        for name, text in texts.items():
            (Path(scratch) / name).write_text(text)
        check_carried(Path(scratch) / PROFILE, settings)
        recipe, host = recipe_of(settings.toolchain.version), this_host()
        files = {**inputs.files, **{name: Path(scratch) / name for name in texts}}
        files |= {**build_wheels(), **toolchain_wheels(recipe, settings.toolchain.python)}
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


def device_bundle(release: Reference, target: packages.Target, path: Path, *, origin: Origin | None = None) -> Made:
    """Write a release and all that a board installs into one file.

    Args:
        release: Which.
        target: The board's Python and machine.
        path: The file.
        origin: The profile that the release shall come of; None where it was named itself.

    Returns:
        What was written.

    Raises:
        BundleNotMade: The release is of another profile; or a package has no wheel for the board, or cannot be had.
        ArtifactError: The release cannot be read, or the file cannot be written.
    """
    path = checked_target(path)
    name, version, _ = device_package()
    with tempfile.TemporaryDirectory(dir=_made(PROJECT / "build")) as scratch:
        # First, as it is what may be refused: the packages take minutes.
        subject = copy_release(release, Path(scratch) / "release")
        if origin is not None:
            _check_origin(release, subject, origin)
        wheel = packages.device_wheel(Path(scratch) / "wheel")
        found = _wheels_for(f"{name}[signatures] @ {wheel.as_uri()}", target)
        files = {f"wheels/{one}": at for one, at in found.items()}
        files |= {f"release/{one}": at for one, at in layout_files(Path(scratch) / "release").items()}
        files |= {f"wheels/{wheel.name}": wheel, **INSTALLER}
        manifest = Manifest(
            kind="device",
            project=version,
            profile=plain(f"{subject.record.name}:{subject.record.version}"),
            toolchain="",
            machine=target.machine,
            glibc=target.glibc,
            pythons={"device": target.python},
            files=listed(files),
        )
        return Made(manifest, pack(manifest, files, path), subject)


def build_wheels() -> dict[str, Path]:
    """Collect what `make` installs into the build environment: name in the bundle to wheel."""
    # Not what is installed here: that may be older than the lists, and the other machine goes by the lists.
    host = this_host()
    constraints = (PROJECT / "constraints.txt").read_text().splitlines()
    target = packages.Target(host.python, host.machine, host.glibc)
    pins = packages.resolved_pins([f"-r {PROJECT / 'requirements-dev.txt'}"], constraints, target)
    kept = target.folder(WHEELS, "build")
    found = packages.collect_here(pins, packages.helper(Path(sys.executable), kept / "pip"), kept)
    return {f"wheels/build/{name}": path for name, path in found.items()}


def toolchain_wheels(recipe: Recipe, python: Path | None) -> dict[str, Path]:
    """Collect the packages of the compiler's environment: name in the bundle to wheel."""
    host = this_host()
    target = packages.Target(PYTHON, host.machine, host.glibc)
    pins = packages.resolved_pins(recipe.requirements, recipe.constraints, target)
    kept = target.folder(WHEELS, "toolchain")
    found = packages.collect_here(pins, packages.helper(packages.compilers_python(python), kept / "pip"), kept)
    return {f"wheels/toolchain/{name}": path for name, path in found.items()}


def _wheels_for(requirement: str, target: packages.Target) -> dict[str, Path]:
    try:
        pins = packages.resolved_pins([requirement], (), target, wheels_only=True)
        return packages.collect_for(pins, target, target.folder(WHEELS, "device"))
    except BundleNotMade as error:
        raise BundleNotMade(
            f"{error} Wheels were wanted for Python {target.python} on {target.machine} with the C library "
            f"{target.glibc}: not every package has one; where the board's is newer, name it by --glibc."
        ) from error


def _check_origin(release: Reference, subject: Subject, origin: Origin) -> None:
    """Refuse what another profile has published under the same name since."""
    if reasons := differences(subject.record, origin.settings):
        raise BundleNotMade(
            f"{release} is {subject.record.version} and not of the profile {origin.profile}: {'; '.join(reasons)}. "
            f"Build that profile (make build PROFILE={origin.profile}), or name the release that is meant "
            "(RELEASE=REF, --release REF)."
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
