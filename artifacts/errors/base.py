"""The root, and what does not belong to one place."""

from __future__ import annotations

from pathlib import Path


class ArtifactError(Exception):
    """Root of everything that this package raises on purpose."""


class BadDigest(ArtifactError, ValueError):
    """A text that should be a digest is not one."""

    # A ValueError too, so that pydantic reports it among a record's other problems.

    def __init__(self, text: object) -> None:
        self.text = text
        super().__init__(
            f"{str(text)[:120]!r} is not a digest. A digest is 'sha256:' followed by 64 lower-case hexadecimal digits."
        )


class LockTimeout(ArtifactError):
    """Another process kept a lock for longer than the caller was willing to wait."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        super().__init__(
            f"The lock {path} was not free within {timeout_s:g} s. Another process is still working there: "
            "wait for it to end (a killed process frees its lock by itself), then try again."
        )
