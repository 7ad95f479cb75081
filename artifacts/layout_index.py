"""The two files that make a folder an OCI image layout: ``oci-layout``, and ``index.json`` with the tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

from artifacts.bounded import read_bounded
from artifacts.digest import canonical_json
from artifacts.errors import LayoutError
from artifacts.files import atomic_write
from artifacts.layout_tags import empty_index
from artifacts.oci import MAX_MANIFEST_BYTES, parse

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LOCK_FILE = ".index.lock"

_LAYOUT_VERSION = "1.0.0"


def is_layout(root: Path) -> bool:
    """Tell whether a folder is, or begins to be, a layout."""
    return (root / LAYOUT_FILE).is_file()


def make_layout(root: Path) -> None:
    """Make a layout without tags, unless there is one.

    Raises:
        LayoutError: The folder holds something else.
        NoSpace: The file system is full.
        StoreNotWritable: The folder cannot be written.
    """
    if is_layout(root):
        return
    others = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")] if root.is_dir() else []
    if others and not is_layout(root):  # another publisher may have made it since the first look
        raise LayoutError(f"{root} holds {others[0]!r} and is no registry layout: choose another folder.")
    atomic_write(root / LAYOUT_FILE, canonical_json({"imageLayoutVersion": _LAYOUT_VERSION}))


def load_index(root: Path) -> Dict[str, Any]:
    """Read the tags.

    Raises:
        LayoutError: The folder is no layout, or its index is damaged.
    """
    if not is_layout(root):
        raise LayoutError(f"{root} is no registry layout: it has no {LAYOUT_FILE!r}. Name another, or publish into it.")
    version = parse(_read(root / LAYOUT_FILE), LAYOUT_FILE).get("imageLayoutVersion")
    if version != _LAYOUT_VERSION:
        raise LayoutError(f"{root} has the layout version {version!r}, not {_LAYOUT_VERSION}: update this program.")
    try:
        return parse(_read(root / INDEX_FILE), INDEX_FILE)
    except FileNotFoundError:
        return empty_index()


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LayoutError(f"{path} cannot be read: {error.strerror or error}. Name another layout.") from error


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
