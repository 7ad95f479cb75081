"""Weights, images and annotations of a profile as files, and a profile that takes them from there."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from artifacts.digest import digest_file
from settings.load import PROFILES
from settings.model import Settings
from settings.sources import CocoSource, FolderSource, GeneratedSource
from tasks.errors import BundleNotMade
from tasks.gather import collect_folders, download_coco
from tasks.records import ImageSet
from tasks.source_files import obtain, ships
from tasks.workspace import Workspace

PROFILE, PARENT = "profile.toml", "parent.toml"


class Inputs(NamedTuple):
    """What a build reads besides packages.

    Attributes:
        files: Name in the bundle to the file.
        profile: Text of the profile that takes them from there, relative to itself.
        parent: Text of the user's own profile, which the other extends; None for one that ships with the project.
    """

    files: dict[str, Path]
    profile: str
    parent: str | None


def inputs_of(settings: Settings, profile: str, workspace: Workspace) -> Inputs:
    """Get all that a build would ask for elsewhere; what was downloaded before is used again.

    Args:
        settings: Of the build.
        profile: What they were read from: a shipped profile's name or a path.
        workspace: Where bytes are kept.

    Returns:
        Files and profile.

    Raises:
        BundleNotMade: The profile extends another file.
        DownloadError: Something is not to be had.
        DataError: Images or annotations are wrong.
    """
    parent = own_profile(profile)
    files: dict[str, Path] = {}
    tables = []
    if not ships(settings.weights):
        path = obtain(settings.weights, workspace)
        name = f"inputs/weights/{path.name}"
        files[name] = path
        tables.append(weights_table(name, path.stat().st_size, settings.weights.digest or digest_file(path)))
    evaluation, calibration = settings.evaluation, settings.calibration
    if not isinstance(evaluation.source, GeneratedSource):
        images = _images(evaluation.source, evaluation.limit, "evaluation", 0, workspace)
        tables.append(_placed(images, "evaluation", files, workspace))
    needs_ranges = any(variant.precision == "int8" for variant in settings.variants())
    if needs_ranges and not isinstance(calibration.source, GeneratedSource):
        images = _images(calibration.source, None, "calibration", calibration.seed, workspace)
        tables.append(_placed(images, "calibration", files, workspace))
    extends = PARENT if parent is not None else profile
    return Inputs(files, "\n".join([f"extends = {json.dumps(extends)}\n", *tables]), parent)


def own_profile(profile: str) -> str | None:
    """Return the text of a user's own profile, None for a shipped one.

    Raises:
        BundleNotMade: It extends a file, which would have to come along too.
    """
    if not profile.endswith(".toml"):
        return None
    text = Path(profile).read_text()
    extends = tomllib.loads(text).get("extends")
    if extends is not None and not (PROFILES / f"{extends}.toml").is_file():
        raise BundleNotMade(f"{profile} extends {extends!r}: a profile for a bundle extends one that ships, or none.")
    return text


def weights_table(name: str, size: int, digest: str) -> str:
    """Write where a bundle's weights lie, as TOML."""
    return f'[weights]\nmirrors = ["{name}"]\nsize = {size}\ndigest = "{digest}"\nrecord_first_use = false\n'


def images_table(purpose: str, annotated: bool) -> str:
    """Write where a bundle's images lie, as TOML."""
    lines = [f"[{purpose}.source]", 'kind = "folder"', f'folders = ["inputs/{purpose}/images"]']
    if annotated:
        lines.append(f'annotations = ["inputs/{purpose}/instances.json"]')
    return "\n".join(lines) + "\n"


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


def _placed(images: ImageSet, purpose: str, files: dict[str, Path], workspace: Workspace) -> str:
    blobs = {image.blob.digest: image.blob for image in images.images}
    if images.annotations is not None:
        blobs[images.annotations.digest] = images.annotations
    files.update(
        {name: workspace.content.verified(blobs[digest]) for name, digest in names_of(images, purpose).items()}
    )
    return images_table(purpose, images.annotations is not None)
