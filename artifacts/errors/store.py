"""Of stored bytes, and of the place where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from artifacts.errors.base import ArtifactError


class StoreError(ArtifactError):
    """Something is wrong with stored bytes or with the place where they are stored."""


# How bytes come back to a store that lost them, unless its owner knows better.
MAKE_AGAIN = "make it again or fetch it again"


class MissingBlob(StoreError):
    """The store has no bytes under this digest."""

    def __init__(self, digest: str, path: Path, advice: str = MAKE_AGAIN) -> None:
        self.digest = digest
        self.path = path
        super().__init__(
            f"The store has no {digest} (looked for {path}). It was never stored here, or was removed by hand: "
            f"{advice}."
        )


class DamagedBlob(StoreError):
    """Stored bytes are no longer what their name says."""

    def __init__(
        self, digest: str, path: Path, reason: str, quarantined: Optional[Path] = None, advice: str = MAKE_AGAIN
    ) -> None:
        self.digest = digest
        self.path = path
        self.reason = reason
        self.quarantined = quarantined
        where = f"The damaged file was moved to {quarantined}" if quarantined else f"They lie in {path}"
        super().__init__(
            f"The stored bytes of {digest} are damaged: {reason}. {where}. Something else wrote to the file, or the "
            f"disk is failing: {advice}."
        )


class NoSpace(StoreError):
    """The file system is full, or a quota is reached."""

    def __init__(self, path: Path, free_bytes: Optional[int]) -> None:
        self.path = path
        self.free_bytes = free_bytes
        free = "an unknown amount" if free_bytes is None else f"{free_bytes / 1e6:.1f} MB"
        super().__init__(
            f"No space left while writing below {path}: {free} is free there (a quota may allow less). Nothing "
            "half-written was left behind. Free some space or choose a root on another file system, then run again."
        )


class StoreNotWritable(StoreError):
    """The place cannot be written: a read-only file system or missing permission."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"Cannot write below {path}: {reason}. Choose a folder that this user may write, on a file system that is "
            "not mounted read-only, or change its owner."
        )


class DiskFailed(StoreError):
    """The disk itself does not do what it should."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"The disk failed below {path}: {reason}. It is broken, or was taken away while it was in use: look into "
            "the kernel's log, then run again on a sound one. What was finished before is checked before it is used."
        )


class FolderInTheWay(StoreError):
    """A folder lies where a file should be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is a folder and should be a file: something else made it, or the disk is failing. Move it away, "
            "then run again."
        )
