"""Damage for tests."""

from __future__ import annotations

from pathlib import Path


def damage(path: Path, data: bytes = b"damaged") -> Path:
    """Overwrite a file that may be read-only; return its path."""
    path.chmod(0o644)
    path.write_bytes(data)
    return path
