"""Layouts for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

from artifacts import layout
from tests.artifacts.releases import VARIANTS, release


def publish(root: Path, version: str = "1.0.0", *tags: str, variants: Any = VARIANTS) -> layout.Published:
    """Publish a small release under its version, or under other tags."""
    record, files = release(root.parent / "built", version, variants)
    return layout.publish(root, record, files, tags or (version,))


def state(root: Path) -> Dict[str, Tuple[int, int]]:
    """Return what changes when anything below a folder is written."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")}


def tree(folder: Path) -> Dict[str, bytes]:
    """Return the files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def blob_path(root: Path, digest: str) -> Path:
    """Return where a layout has a blob."""
    return root / "blobs" / "sha256" / digest[7:]
