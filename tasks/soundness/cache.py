"""The cache folder that checkouts share: downloads and compilers. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from artifacts.in_use import LOCK_NAME
from settings.model import Settings
from settings.sources import CocoSource, FileSource
from tasks.errors import BadLockFile, DownloadError
from tasks.housekeeping.cache import environments
from tasks.housekeeping.model import counted, entries
from tasks.soundness.model import FETCHED, INSTALLED, Meter, Part, Remedy, Trouble, in_the_way
from tasks.source_files import LOCK_FILE, kept_at
from tasks.sources.lock import LockFile, Recorded
from tasks.sources.model import Expected
from tasks.sources.part import in_place
from tasks.toolchain.contents import READY, check_contents
from tasks.toolchain.provision import recognise
from tasks.workspace import Workspace

_PARTS = (".part", ".part.meta")


def check_cache(settings: Settings, workspace: Workspace, meter: Meter) -> list[Part]:
    """Look at the downloads and the compilers.

    Args:
        settings: Which files are named there, with which digests.
        workspace: Where they are kept.
        meter: Counts what is hashed.

    Returns:
        What was found.
    """
    root = Path(workspace.cache)
    return [
        _downloads(root / "downloads", settings, workspace, meter),
        Part("locks", 1, tuple(in_the_way("locks", [root / LOCK_NAME, root / "downloads" / f".{LOCK_FILE}.lock"]))),
        _compilers(workspace, meter),
    ]


def _downloads(root: Path, settings: Settings, workspace: Workspace, meter: Meter) -> Part:
    troubles: list[Trouble] = []
    known: Mapping[str, Recorded] = {}
    path = root / LOCK_FILE
    try:
        known = LockFile(path).known
    except BadLockFile as error:
        advice = "restore it from the backup: what it records is enforced, and a new one believes what comes first"
        troubles.append(Trouble("recorded digests", path, str(error).partition(". Was it")[0], Remedy.YOU, advice))
    wanted = {kept_at(file, workspace): file.digest for file in _files(settings) if file.digest is not None}
    unknown = 0
    found = list(_kept(root))
    for one in found:
        recorded = known.get(one.name)
        digest = wanted.get(one) or (recorded.digest if recorded else None)
        if digest is None:
            unknown += 1
            continue
        troubles += _download(one, digest, recorded, meter)
    troubles += _forgotten(settings, workspace, known)
    notes = []
    if unknown:
        notes.append(
            f"downloads of which nobody here knows a digest, other settings' perhaps: {counted(unknown, 'file')}"
        )
    parts = [one for one in root.rglob("*.part") if one.is_file()] if root.is_dir() else []
    if parts:
        notes.append(f"unfinished downloads, hashed as a whole when they are finished: {counted(len(parts), 'file')}")
    return Part("downloads", len(found), tuple(troubles), tuple(notes))


def _files(settings: Settings) -> Iterator[FileSource]:
    yield settings.weights
    for source in (settings.evaluation.source, settings.calibration.source):
        if isinstance(source, CocoSource):
            yield source.instances


def _kept(root: Path) -> Iterator[Path]:
    for one in entries(root):
        name = one.path.name
        if LOCK_FILE in name or name.endswith(_PARTS):
            continue
        # The folder of a split holds its images; what has a dot and eight digits before it is a file of its own.
        if one.path.is_dir() and not one.path.is_symlink() and not _is_file_name(name):
            yield from (each.path for each in entries(one.path) if not each.path.name.endswith(_PARTS))
        else:
            yield one.path


def _is_file_name(name: str) -> bool:
    prefix = name.partition("-")[0]
    return len(prefix) == 8 and set(prefix) <= set("0123456789abcdef")


def _download(path: Path, digest: str, recorded: Recorded | None, meter: Meter) -> Iterator[Trouble]:
    if path.is_dir():
        yield Trouble("downloads", path, "it is a folder, not a file", Remedy.YOU, "move it away")
        return
    expected = Expected(name=path.name, size=None, digest=digest, said_by="")
    try:
        sound = in_place(path, expected, tidy=False) is not None
        meter(path.stat().st_size)
        why = "" if sound else f"its bytes are not those of {digest}"
    except (DownloadError, OSError) as error:
        why = str(error)
    if why:
        origin = "" if recorded is None else f" from {recorded.mirror}, and compared with what is recorded"
        yield Trouble("downloads", path, why, Remedy.ITSELF, f"{FETCHED}{origin}")


def _forgotten(settings: Settings, workspace: Workspace, known: Mapping[str, Recorded]) -> Iterator[Trouble]:
    for file in _files(settings):
        path = kept_at(file, workspace)
        if file.digest is None and file.record_first_use and path.exists() and path.name not in known:
            yield Trouble(
                "recorded digests",
                path.with_name(LOCK_FILE),
                f"it has no digest of {path.name}, which was downloaded: the next build believes whatever comes",
                Remedy.YOU,
                "restore it from the backup",
            )


def _compilers(workspace: Workspace, meter: Meter) -> Part:
    troubles = []
    notes = []
    found = environments(workspace)
    for one in found:
        folder = one.found.path
        if recognise(folder, one.version) is None:
            why = "it is unfinished, or was changed" if one.version else f"its {READY} is missing or cannot be read"
            troubles.append(Trouble("compilers", folder, why, Remedy.ITSELF, INSTALLED))
        count, problems = check_contents(folder, meter)
        advice = f"remove {folder}: the next build installs the compiler anew"
        troubles += [Trouble("compilers", path, why, Remedy.YOU, advice) for path, why in problems]
        notes.append(f"{folder.name}: {counted(count, 'file')} compared with what was installed")
    return Part("compilers", len(found), tuple(troubles), tuple(notes))
