"""The two files that make a folder an OCI image layout: ``oci-layout``, and ``index.json`` with the tags."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Mapping

from artifacts.bounded import read_bounded
from artifacts.digest import canonical_json
from artifacts.errors import LayoutError
from artifacts.files import atomic_write, locked
from artifacts.layout_tags import empty_index
from artifacts.oci import MAX_MANIFEST_BYTES, parse

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LOCK_FILE = ".index.lock"

_LAYOUT_VERSION = "1.0.0"
_RESTORE = (
    "Restore it from the backup: the releases lie in blobs/ still, only what they are called is lost. Where nothing "
    "was ever published, remove the folder"
)


def is_layout(root: Path) -> bool:
    """Tell whether a folder is, or begins to be, a layout."""
    return (root / LAYOUT_FILE).is_file()


def says_so(root: Path) -> bool:
    """Tell whether a folder says that it is a layout, of whatever version; `make_layout` leaves it alone then."""
    # Whatever else is an object there may be of a later specification, and is left alone.
    with suppress(LayoutError, OSError):
        return isinstance(parse(read_bounded(root / LAYOUT_FILE, MAX_MANIFEST_BYTES), LAYOUT_FILE), dict)
    return False


def make_layout(root: Path) -> None:
    """Make a layout without tags, unless there is one; the file that only says that it is one is made again.

    Raises:
        LayoutError: The folder holds something else.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    if says_so(root):
        return
    _refuse_others(root)  # before the lock leaves a file there
    with locked(root / LOCK_FILE):
        if says_so(root):  # another publisher may have made it since the first look
            return
        _refuse_others(root)
        if not (root / INDEX_FILE).exists():
            # First: a layout without it has lost its tags, and must not be taken for one that never had any.
            atomic_write(root / INDEX_FILE, canonical_json(empty_index()))
        atomic_write(root / LAYOUT_FILE, canonical_json({"imageLayoutVersion": _LAYOUT_VERSION}))


def load_index(root: Path) -> Dict[str, Any]:
    """Read the tags.

    Raises:
        LayoutError: The folder is no layout, or its index is damaged.
    """
    if not is_layout(root):
        raise LayoutError(f"{root} is no registry layout: it has no {LAYOUT_FILE!r}. Name another, or publish into it.")
    version = _read(root, LAYOUT_FILE).get("imageLayoutVersion")
    if version != _LAYOUT_VERSION:
        raise LayoutError(
            f"{root / LAYOUT_FILE} names the layout version {version!r}, not {_LAYOUT_VERSION}: update this program. "
            "Where no newer one wrote it, it is damaged: remove it, the next build makes it again."
        )
    return _read(root, INDEX_FILE)


def write_index(root: Path, index: Mapping[str, Any]) -> None:
    """Write the tags, all of them or none; the caller holds the lock.

    Raises:
        LayoutError: They are too many to be read again.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    data = canonical_json(index)
    if len(data) > MAX_MANIFEST_BYTES:
        raise LayoutError(f"{INDEX_FILE} would have {len(data)} bytes: this layout has too many tags, start another.")
    atomic_write(root / INDEX_FILE, data)


def _refuse_others(root: Path) -> None:
    others = [entry.name for entry in root.iterdir() if entry.name[0] != "."] if root.is_dir() else []
    # One that has its tags and lost the other file is a layout still.
    if others and not says_so(root) and not _has_tags(root):
        raise LayoutError(f"{root} holds {others[0]!r} and is no registry layout: choose another folder.")


def _has_tags(root: Path) -> bool:
    with suppress(LayoutError):
        return isinstance(_read(root, INDEX_FILE).get("manifests"), list)
    return False


def _read(root: Path, name: str) -> Dict[str, Any]:
    """Read one of the two files; whatever is wrong with it, only a copy brings it back."""
    try:
        return parse(read_bounded(root / name, MAX_MANIFEST_BYTES), name)
    except FileNotFoundError:
        reason = "it is not there"
    except (LayoutError, OSError) as error:
        reason = str(error).partition(": it was damaged")[0]
    raise LayoutError(f"{root / name} cannot be used: {reason.rstrip('.')}. {_RESTORE}.")
