"""Damage for tests."""

from __future__ import annotations

import random
import shutil
from pathlib import Path


def damage(path: Path, data: bytes = b"damaged") -> Path:
    """Overwrite a file that may be read-only; return its path."""
    path.chmod(0o644)
    path.write_bytes(data)
    return path


FLIPPED = "a bit flipped"
FLIPPED_IN_PLACE = "a bit flipped where it lies"
HALF = "cut to half"
EMPTY = "emptied"
GONE = "removed"
FOLDER = "a folder in its place"
LINK = "a link to another file in its place"
ZEROS = "zeros in its place"
KINDS = (FLIPPED, FLIPPED_IN_PLACE, HALF, EMPTY, GONE, FOLDER, LINK, ZEROS)


def decay(path: Path, kind: str, chance: random.Random, elsewhere: Path = Path(__file__)) -> None:
    """Let a file decay.

    Args:
        path: The file; of what has several names only this one changes, but where the kind says otherwise.
        kind: One of `KINDS`.
        chance: Where a bit is flipped.
        elsewhere: Where a link leads to; holds other bytes.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    data = bytearray(path.read_bytes())
    if kind == FLIPPED_IN_PLACE:
        path.chmod(0o644)
        path.write_bytes(flipped(data, chance))
        return
    path.unlink()
    if kind == FLIPPED:
        path.write_bytes(flipped(data, chance))
    elif kind == HALF:
        path.write_bytes(data[: len(data) // 2])
    elif kind == EMPTY:
        path.touch()
    elif kind == FOLDER:
        path.mkdir()
        (path / "inside").touch()
    elif kind == LINK:
        path.symlink_to(elsewhere)
    elif kind == ZEROS:
        path.write_bytes(bytes(len(data)))


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Flip one bit; of nothing, a byte is made."""
    changed = bytearray(data or b"\0")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)
