"""The registry's folder and the release that is laid out beside it. Reads, and changes nothing."""

from __future__ import annotations

from pathlib import Path

from artifacts import layout
from artifacts.attachments import CHANNEL_LOCK
from artifacts.checking import Problem, Wanted, check_files
from artifacts.digest import digest_file
from artifacts.errors import ArtifactError
from artifacts.evidence import REFERRERS_LOCK
from artifacts.export import ReleaseFiles, unlike
from artifacts.in_use import LOCK_NAME
from artifacts.layout_audit import audit
from artifacts.layout_index import INDEX_FILE, LAYOUT_FILE, LOCK_FILE, load_index, says_so
from artifacts.layout_reach import reachable, releases
from artifacts.oci import RECORD_TITLE
from artifacts.release import ReleaseRecord
from artifacts.signing import PublicKey, load_keys
from artifacts.store import Blob, ContentStore
from settings.sections import ReleaseSettings
from tasks.housekeeping.model import counted, entries
from tasks.signing_key import public_path
from tasks.soundness.model import LAID_OUT, RESTORE, Meter, Part, Remedy, Trouble, in_the_way

_LOCKS = (LOCK_NAME, LOCK_FILE, ".lock", CHANNEL_LOCK, REFERRERS_LOCK)


def check_registry(release: ReleaseSettings, store: ContentStore, meter: Meter) -> list[Part]:
    """Look at everything in the registry's folder, and at the release that is laid out as plain files.

    Args:
        release: Where they are, and the key whose public part is known.
        store: The build's own store, from which a build puts back what the registry lost.
        meter: Counts what is hashed.

    Returns:
        What was found; nothing where nothing was published.
    """
    root = Path(release.repository)
    if not root.is_dir() or not any(root.iterdir()):
        return []
    keys, notes = _keys(release)
    problems = audit(root, keys, meter)
    troubles = [_trouble(problem, root, store) for problem in problems]
    locks = in_the_way("locks", [root / name for name in _LOCKS])
    if aside := entries(root / "quarantine"):
        notes.append(f"damaged earlier and set aside: {counted(len(aside), 'file')} in {root / 'quarantine'}")
    return [
        Part("registry", len(entries(root / "blobs" / "sha256")), (*troubles, *locks), tuple(notes)),
        _laid_out(root, Path(release.folder), meter),
    ]


def _keys(release: ReleaseSettings) -> tuple[tuple[PublicKey, ...], list[str]]:
    if release.signing_key is None:
        return (), ["signatures are read, and not verified: release.signing_key names no key"]
    try:
        return load_keys(public_path(Path(release.signing_key))), []
    except (ArtifactError, OSError) as error:
        return (), [f"signatures are not verified: {error}"]


def _trouble(problem: Problem, root: Path, store: ContentStore) -> Trouble:
    path, why = problem
    if path == root and not says_so(root) and not (root / LAYOUT_FILE).is_dir():
        return Trouble("registry", root / LAYOUT_FILE, why, Remedy.ITSELF, "the next publication makes it again")
    if path == root and (str(root / LAYOUT_FILE) in why or (root / LAYOUT_FILE).is_dir()):
        advice = "move it away: the next publication makes it again"
        return Trouble("registry", root / LAYOUT_FILE, why, Remedy.YOU, advice)
    if path.parent.name == "sha256":
        if _is_unreached(root, path.name):
            return Trouble("registry", path, why, Remedy.NOBODY, "no tag leads to it: make clean-store removes it")
        digest = f"sha256:{path.name}"
        if store.is_sound(_blob(store, digest)):
            advice = "a build that makes this release puts it back; else restore it from the backup"
            return Trouble("registry", path, why, Remedy.ITSELF, advice)
    return Trouble("registry", root / INDEX_FILE if path == root else path, why, Remedy.YOU, RESTORE)


def _blob(store: ContentStore, digest: str) -> Blob:
    path = store.root / "blobs" / "sha256" / digest.rpartition(":")[2]
    return Blob(digest=digest, size=path.stat().st_size if path.is_file() else 0)


def _is_unreached(root: Path, name: str) -> bool:
    try:
        return f"sha256:{name}" not in reachable(root, load_index(root))
    except (ArtifactError, OSError, ValueError):
        return False  # it cannot be told


def _laid_out(root: Path, folder: Path, meter: Meter) -> Part:
    what = "release as plain files"
    if not folder.exists():
        return Part(what, 0)
    if not folder.is_dir() or folder.is_symlink():
        return Part(what, 1, (Trouble(what, folder, "it is no folder", Remedy.YOU, "move it away"),))
    files = _files_of(root, folder)
    found = unlike(folder, files) if files is not None else _by_its_record(folder)
    notes = []
    if files is None:
        notes.append(f"only the bmodels in {folder} were compared: the registry's release cannot be read")
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    meter(sum(sizes))
    strangers = _strangers(found)
    troubles = [_of_the_folder(problem, strangers) for problem in found]
    return Part(what, len(sizes), tuple(troubles), tuple(notes))


def _of_the_folder(problem: Problem, strangers: bool) -> Trouble:
    # What a build lays out anew it must be able to recognise.
    remedy, advice = (Remedy.YOU, f"move the folder away; then {LAID_OUT}") if strangers else (Remedy.ITSELF, LAID_OUT)
    return Trouble("release as plain files", problem.path, problem.reason, remedy, advice)


def _strangers(found: list[Problem]) -> bool:
    """Tell whether the record is gone and something else lies there, so that a build leaves the folder alone."""
    lost = any(path.name == RECORD_TITLE and not path.is_file() for path, _ in found)
    return lost and any("none of the release" in why for _, why in found)


def _files_of(root: Path, folder: Path) -> ReleaseFiles | None:
    """Find the release that is laid out: by its record, and where that decayed, what `latest` names."""
    try:
        known = {files.record.digest: files for one in releases(root) if (files := _files(root, one.digest))}
        record = folder / RECORD_TITLE
        found = known.get(digest_file(record)) if record.is_file() else None
        return found or _files(root, "latest")
    except (ArtifactError, OSError):
        return None


def _files(root: Path, name: str) -> ReleaseFiles | None:
    try:
        return layout.release_files(root, name)
    except (ArtifactError, OSError):
        return None


def _by_its_record(folder: Path) -> list[Problem]:
    path = folder / RECORD_TITLE
    try:
        record = ReleaseRecord.from_json(path.read_bytes())
    except (ArtifactError, OSError) as error:
        return [Problem(path, str(error))]
    models = ((one.variant.path, one.blob) for one in record.variants)
    return check_files([Wanted(folder / title, blob.digest, blob.size) for title, blob in models])
