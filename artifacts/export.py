"""Writing a release out of a store as a plain folder, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from artifacts.checking import Problem, Wanted, check_files
from artifacts.digest import CHUNK_BYTES, digest_file
from artifacts.errors import DamagedBlob, LayoutError
from artifacts.files import FILE_MODE, fsync_folder, storage_errors
from artifacts.oci import RECORD_TITLE, Manifest, check_titles
from artifacts.release import ReleaseRecord
from artifacts.scratch import scratch_folder, sweep_scratch
from artifacts.store import Blob, ContentStore
from artifacts.swap import take_place

# In the target's parent, so that the last step is a rename on one file system; ours alone, so that it can be swept.
STAGING = ".centernet-sophon-staging"

# What a rename says of a name that somebody else made, filled or removed meanwhile.
_CHANGED = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


class ReleaseFiles(NamedTuple):
    """What a release folder shall hold: title to blob, for some of a release's chips."""

    chips: Tuple[str, ...]
    record: Blob
    blobs: Dict[str, Blob]

    @classmethod
    def of(cls, manifests: Sequence[Manifest]) -> ReleaseFiles:
        """Join the manifests of one release's chips.

        Raises:
            LayoutError: There are none, or they disagree about a file or about the record.
        """
        if not manifests:
            raise LayoutError("The release names no chip at all.")
        blobs: Dict[str, Blob] = {}
        for manifest in manifests:
            if manifest.record != manifests[0].record:
                raise LayoutError("The chips of this release carry different records: it was not published as one.")
            for title, blob in manifest.files.items():
                if blobs.setdefault(title, blob) != blob:
                    raise LayoutError(f"The chips of this release carry different files named {title!r}.")
        record = manifests[0].record
        if blobs.setdefault(RECORD_TITLE, record) != record:
            raise LayoutError(f"The file {RECORD_TITLE!r} of this release is not its record.")
        check_titles(list(blobs))
        return cls(tuple(manifest.chip for manifest in manifests), record, blobs)

    def checked_against(self, record: ReleaseRecord) -> ReleaseFiles:
        """Return this when its bmodels are those of the record.

        Raises:
            LayoutError: A bmodel is missing, another than the record says, or not in the record.
        """
        said = {item.variant.path: item.blob for item in record.variants if item.variant.chip in self.chips}
        found = {title: blob for title, blob in self.blobs.items() if title.endswith(".bmodel")}
        for title in sorted({*said, *found}):
            if said.get(title) != found.get(title):
                raise LayoutError(f"{title!r} of this release is not what its record says.")
        return self


def materialise(files: ReleaseFiles, store: ContentStore, folder: Path, *, replace: bool) -> Path:
    """Copy the files out of the store, hashing them on the way, and rename the finished folder into place.

    Args:
        files: What to write.
        store: Where the bytes are.
        folder: The new folder.
        replace: Whether a folder that holds a release may be replaced.

    Returns:
        The folder.

    Raises:
        LayoutError: The folder exists and holds something else.
        MissingBlob: Bytes are not in the store.
        DamagedBlob: Stored bytes are others.
        NoSpace: The file system is full.
        StoreNotWritable: The folder's parent cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LayoutError(f"{folder} exists and is no folder: choose another name.")
    parent = folder.absolute().parent
    staging = parent / STAGING
    if staging.is_dir():
        with storage_errors(parent):
            sweep_scratch(staging)
            _remove_if_empty(staging)
    if _holds(folder, files):
        return folder
    in_use = _in_use(folder)
    if in_use and not (replace and ((folder / RECORD_TITLE).is_file() or _is_part_of(folder, files))):
        raise LayoutError(f"{folder} exists and holds something else: choose another folder, or remove this one.")
    with storage_errors(parent):
        try:
            with scratch_folder(staging, folder.name) as scratch:
                _write_tree(files, store, scratch / "new")
                _switch(scratch / "new", folder, scratch / "old" if in_use else None, files)
                fsync_folder(parent)
        finally:
            _remove_if_empty(staging)
    return folder


def _write_tree(files: ReleaseFiles, store: ContentStore, top: Path) -> None:
    for title, blob in files.blobs.items():
        _copy(store, blob, top / title)
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        fsync_folder(folder)


def _switch(new: Path, folder: Path, aside: Optional[Path], files: ReleaseFiles) -> None:
    try:
        take_place(new, folder, aside)
    except OSError as error:
        if _holds(folder, files):
            return  # another process was faster with the same release
        if error.errno not in _CHANGED:
            raise
        raise LayoutError(f"{folder} changed while it was being written ({error}): export again.") from error


def _in_use(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        return any(folder.iterdir())
    return False


def unlike(folder: Path, files: ReleaseFiles) -> List[Problem]:
    """Say what of a folder is not as `materialise` would lay it out.

    Args:
        folder: The folder.
        files: What it should hold.

    Returns:
        Path and reason of each file that is missing, another one, or one too many.
    """
    wanted = [Wanted(folder / title, blob.digest, blob.size) for title, blob in files.blobs.items()]
    titles = set(files.blobs)
    strays = [
        path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and not {one.as_posix() for one in _above(path, folder)} & titles
    ]
    return [*check_files(wanted), *(Problem(path, "it is none of the release's files") for path in strays)]


def _above(path: Path, folder: Path) -> List[Path]:
    inside = path.relative_to(folder)
    return [inside, *inside.parents]


def _holds(folder: Path, files: ReleaseFiles) -> bool:
    # Another process may switch the folder while it is read.
    with suppress(FileNotFoundError):
        there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
        return set(there) == set(files.blobs) and all(
            path.stat().st_size == files.blobs[title].size and digest_file(path) == files.blobs[title].digest
            for title, path in there.items()
        )
    return False


def _is_part_of(folder: Path, files: ReleaseFiles) -> bool:
    """Tell whether a folder is this very release that lost its record: all there is its own, and some of it whole."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    ours = [title for title in there if title in files.blobs or title.startswith(f"{RECORD_TITLE}/")]
    whole = [title for title in ours if title in files.blobs and digest_file(there[title]) == files.blobs[title].digest]
    return len(ours) == len(there) and bool(whole)


def _copy(store: ContentStore, blob: Blob, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source, hasher, size = store.path(blob), hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        for chunk in iter(lambda: reader.read(CHUNK_BYTES), b""):
            hasher.update(chunk)
            size += writer.write(chunk)
        writer.flush()
        os.fchmod(writer.fileno(), FILE_MODE)
        os.fsync(writer.fileno())
    found = Blob(digest="sha256:" + hasher.hexdigest(), size=size)
    if found != blob:
        reason = f"it has {size} bytes that hash to {found.digest}"
        raise DamagedBlob(blob.digest, source, reason, advice=store.advice)


def _remove_if_empty(staging: Path) -> None:
    # It is not empty when another process is exporting beside us; that one removes it then.
    with suppress(OSError):
        staging.rmdir()
