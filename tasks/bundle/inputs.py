"""Weights, images and annotations of a profile as files, and a profile that takes them from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from artifacts.digest import digest_file
from settings.errors import SettingsError
from settings.load import load_settings
from settings.locations import PROJECT
from settings.model import Settings
from settings.sections import ReleaseSettings
from settings.sources import CocoSource, FolderSource, GeneratedSource
from settings.toml_text import format_key, format_value
from tasks.errors import BundleNotMade
from tasks.gather import collect_folders, download_coco
from tasks.records import ImageSet
from tasks.source_files import obtain, ships
from tasks.workspace import Workspace

PROFILE = "profile.toml"
# Not the file's own name, which may be anything; it has the suffix that all checkpoints have.
WEIGHTS = "inputs/weights/weights.pth"

# About this machine and its network, or secret: the other machine has its own, or none.
_LEFT_HERE: Mapping[str, Any] = {
    "profile": True,
    "store": True,
    "exchange": True,
    "runner": True,
    "devices": True,
    "release": {"repository", "folder", "push", "signing_key"},
    "toolchain": {"python", "nntc"},
}
_SOURCES: Mapping[str, Any] = {"weights": True, "evaluation": {"source"}, "calibration": {"source"}}


class Inputs(NamedTuple):
    """What a build reads besides packages.

    Attributes:
        files: Name in the bundle to the file.
        profile: Text of the profile that takes them from there, relative to itself.
    """

    files: dict[str, Path]
    profile: str


def inputs_of(settings: Settings, profile: str, workspace: Workspace) -> Inputs:
    """Get all that a build would ask for elsewhere; what was downloaded before is used again.

    Args:
        settings: Of the build.
        profile: What they were read from: a shipped profile's name or a path.
        workspace: Where bytes are kept.

    Returns:
        Files and profile.

    Raises:
        DownloadError: Something is not to be had.
        DataError: Images or annotations are wrong.
    """
    files: dict[str, Path] = {}
    ships_itself = not profile.endswith(".toml")
    facts: dict[str, Any] = {"extends": profile} if ships_itself else _effective(settings)
    if not ships(settings.weights):
        files[WEIGHTS] = path = obtain(settings.weights, workspace)
        facts["weights"] = {
            "mirrors": [WEIGHTS],
            "size": path.stat().st_size,
            "digest": settings.weights.digest or digest_file(path),
            "record_first_use": False,
        }
    evaluation, calibration = settings.evaluation, settings.calibration
    if not isinstance(evaluation.source, GeneratedSource):
        images = _images(evaluation.source, evaluation.limit, "evaluation", 0, workspace)
        facts.setdefault("evaluation", {})["source"] = _placed(images, "evaluation", files, workspace)
    if not isinstance(calibration.source, GeneratedSource):
        source: dict[str, Any] = _folder("calibration", annotated=False)
        if any(variant.precision == "int8" for variant in settings.variants()):
            images = _images(calibration.source, None, "calibration", calibration.seed, workspace)
            source = _placed(images, "calibration", files, workspace)
        facts.setdefault("calibration", {})["source"] = source
    return Inputs(files, "".join(f"{line}\n" for line in _lines(facts)))


def check_carried(path: Path, settings: Settings) -> None:
    """Read the profile as the other machine will, and make sure that it says the same.

    Args:
        path: The profile, alone in a folder.
        settings: Of the build.

    Raises:
        BundleNotMade: It cannot be read, says something else, or would write into the bundle.
    """
    try:
        carried = load_settings(path, environ={})
    except SettingsError as error:
        raise BundleNotMade(f"The bundle was not made: its profile would be refused elsewhere. {error}") from error
    if _said(carried) != _said(settings):
        raise BundleNotMade(
            "The bundle was not made: its profile would build something else elsewhere. Did the profile change "
            "meanwhile? Run this again."
        )
    written = (carried.store.path, carried.release.repository, carried.release.folder)
    if any(place.is_relative_to(path.parent) for place in written):
        raise BundleNotMade("The bundle was not made: a build from it would write into the bundle itself.")


def _said(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={**_LEFT_HERE, **_SOURCES})


def _effective(settings: Settings) -> dict[str, Any]:
    """Return all that the settings say but places of this machine and secrets."""
    facts = settings.model_dump(mode="json", exclude=dict(_LEFT_HERE))
    here, usual, name = Path.cwd(), ReleaseSettings(), settings.release.name
    # Relative to the profile, so beside the bundle. The usual places are left out: they begin where the build is run.
    if settings.release.repository != here / usual.repository:
        facts["release"]["repository"] = f"../registry/{name}"
    if settings.release.folder != here / usual.folder:
        facts["release"]["folder"] = f"../release-{name}"
    if ships(settings.weights):
        facts["weights"]["mirrors"] = [f"project:{Path(one).relative_to(PROJECT)}" for one in settings.weights.mirrors]
    return facts


def _lines(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, name))
        else:
            yield f"{format_key((*path, name))} = {format_value(value)}"


def _folder(purpose: str, *, annotated: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "folder", "folders": [f"inputs/{purpose}/images"]}
    return {**found, "annotations": [f"inputs/{purpose}/instances.json"]} if annotated else found


def names_of(images: ImageSet, purpose: str) -> Mapping[str, str]:
    """Return name in the bundle to digest, of the images and of their annotations."""
    named = {f"inputs/{purpose}/images/{image.name}": image.blob.digest for image in images.images}
    if images.annotations is not None:
        named[f"inputs/{purpose}/instances.json"] = images.annotations.digest
    return named


def _images(
    source: CocoSource | FolderSource, limit: int | None, purpose: str, seed: int, workspace: Workspace
) -> ImageSet:
    # The tasks' own functions: no flow and no server is needed to read files.
    if isinstance(source, CocoSource):
        return download_coco.fn(source, limit, purpose, seed, workspace)
    return collect_folders.fn(source, purpose, workspace)


def _placed(images: ImageSet, purpose: str, files: dict[str, Path], workspace: Workspace) -> dict[str, Any]:
    blobs = {image.blob.digest: image.blob for image in images.images}
    if images.annotations is not None:
        blobs[images.annotations.digest] = images.annotations
    files.update(
        {name: workspace.content.verified(blobs[digest]) for name, digest in names_of(images, purpose).items()}
    )
    return _folder(purpose, annotated=images.annotations is not None)
