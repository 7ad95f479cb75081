"""What may go in the per-user cache folder, which checkouts share: downloads and compilers. Changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from artifacts.digest import digest_file
from inference.engines.locate import PYTHON_VARIABLE
from settings.model import Settings
from settings.sources import CocoSource, FileSource
from tasks.housekeeping.model import Age, Found, Item, Kind, entries
from tasks.housekeeping.releases import Release, Releases
from tasks.source_files import LOCK_FILE, kept_at
from tasks.toolchain.contents import READY
from tasks.toolchain.provision import NAME, recipe_of
from tasks.workspace import Workspace

_BESIDE = (".lock", ".log")


class Environment(NamedTuple):
    """A compiler's environment on this machine.

    Attributes:
        found: Its folder.
        version: Its release; empty where it was never finished.
        fingerprint: What names it in releases; empty where it was never finished.
    """

    found: Found
    version: str
    fingerprint: str

    @property
    def order(self) -> tuple[tuple[int, ...], float]:
        """Newer releases later, and of one release the environment that was made later."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)), self.found.stat.st_mtime


def environments(workspace: Workspace) -> list[Environment]:
    """List the compilers' environments, unfinished ones too."""
    listed = []
    for found in entries(Path(workspace.cache) / "toolchains"):
        if found.path.is_dir() and found.path.name.startswith(f"{NAME}-"):
            facts: Mapping[str, object] = {}
            with suppress(OSError, ValueError):
                read = json.loads((found.path / READY).read_bytes())
                facts = read if isinstance(read, dict) else {}
            listed.append(Environment(found, str(facts.get("version", "")), str(facts.get("fingerprint", ""))))
    return listed


def needed(
    present: Sequence[Environment],
    releases: Collection[Release],
    wanted: Collection[str],
    newest: int,
    environ: Mapping[str, str],
) -> dict[Path, str]:
    """Decide which environments stay.

    Args:
        present: All of them.
        releases: The releases that stay.
        wanted: Names of the folders that the settings' own compiler has.
        newest: How many of the newest stay in any case.
        environ: Environment variables: one may name the Python that devices simulate with.

    Returns:
        Folder to reason.
    """
    kept: dict[Path, str] = {}
    finished = sorted((one for one in present if one.version), key=lambda one: one.order, reverse=True)
    for one in finished[:newest]:
        kept[one.found.path] = f"one of the {newest} newest"
    for release in releases:
        if not release.channels:
            continue
        version, fingerprint = release.compiler
        exact = [one for one in finished if one.fingerprint == fingerprint]
        for one in exact or [one for one in finished if one.version == version]:
            kept[one.found.path] = f"{' and '.join(release.channels)} was made with it"
    for one in present:
        if one.found.path.name in wanted:
            kept[one.found.path] = "the settings name it"
        if environ.get(PYTHON_VARIABLE, "").startswith(f"{one.found.path}/"):
            kept[one.found.path] = f"{PYTHON_VARIABLE} names it"
    return kept


def survey_toolchains(
    settings: Settings, workspace: Workspace, releases: Releases, environ: Mapping[str, str]
) -> tuple[list[Item], dict[Path, str]]:
    """Look through the compilers.

    Args:
        settings: Which compiler is in use, and how many stay.
        workspace: Where they are.
        releases: What is in the registry.
        environ: Environment variables.

    Returns:
        What may go, and what stays, with the reason.
    """
    present = environments(workspace)
    if releases.problems:
        return [], {one.found.path: "what releases need cannot be told" for one in present}
    wanted = {recipe_of(settings.toolchain.version).folder} if settings.toolchain.name == NAME else set()
    kept = needed(present, releases.found, wanted, settings.keep.toolchains, environ)
    items = []
    for one in present:
        if one.found.path not in kept:
            why = f"{NAME} {one.version}: not among the newest, and no channel's release needs it"
            items.append(one.found.item(Kind.TOOLCHAIN, why if one.version else "it was never finished"))
    names = {one.found.path.name for one in present} - {item.path.name for item in items}
    for found in entries(Path(workspace.cache) / "toolchains"):
        if found.path.suffix in _BESIDE and found.path.stem not in names:
            items.append(found.item(Kind.TOOLCHAIN, "their environment is gone"))
    return items, kept


def survey_downloads(settings: Settings, workspace: Workspace, digests: Collection[str], age: Age) -> Iterator[Item]:
    """Look through the downloads.

    Args:
        settings: What is named there stays.
        workspace: Where they are.
        digests: Bytes that recent runs and releases reach; a download of them stays.
        age: What counts as old.

    Yields:
        What may go. The record of what sources were at their first use stays for ever.
    """
    root = Path(workspace.cache) / "downloads"
    named = set(_named(settings, workspace))
    for found in entries(root):
        name = found.path.name
        if LOCK_FILE in name or found.path in named or _part_of(found.path) in named:
            continue
        for one in entries(found.path) if found.path.is_dir() else [found]:
            if age.old(one) and not _reached(one.path, digests):
                yield one.item(Kind.DOWNLOAD, "not in the settings, and no release and no recent run used them")


def _named(settings: Settings, workspace: Workspace) -> Iterator[Path]:
    files: list[FileSource] = [settings.weights]
    for source in (settings.evaluation.source, settings.calibration.source):
        if isinstance(source, CocoSource):
            files.append(source.instances)
            yield Path(workspace.cache) / "downloads" / source.split
    for file in files:
        yield kept_at(file, workspace)


def _part_of(path: Path) -> Path:
    for suffix in (".part.meta", ".part"):
        if path.name.endswith(suffix):
            return path.with_name(path.name.removesuffix(suffix))
    return path


def _reached(path: Path, digests: Collection[str]) -> bool:
    try:
        return path.is_dir() or digest_file(path) in digests
    except OSError:
        return True
