"""Of bmodels and of the records of releases."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from artifacts.errors.base import ArtifactError


class BmodelError(ArtifactError):
    """A file is not a sound bmodel."""

    def __init__(self, reason: str, path: Optional[Path] = None) -> None:
        self.reason = reason
        self.path = path
        where = f"{path} is not a sound bmodel" if path else "Not a sound bmodel"
        super().__init__(
            f"{where}: {reason}. It was cut short, changed, or made for another tool: compile or fetch it again."
        )


class ReleaseError(ArtifactError):
    """A release record cannot be used."""


class NewerSchema(ReleaseError):
    """The record was written by a newer generation of this program."""

    def __init__(self, found: str, supported: str) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"The release record has schema {found}; this program understands {supported}. The release was made by "
            "a newer version: update this program, or choose an older release."
        )


class BadRecord(ReleaseError):
    """The record is no JSON, or a field is missing or wrong."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The release record cannot be read: {reason}. Fetch the release again, or publish it again.")


class BadVariant(ReleaseError, ValueError):
    """A combination of chip, precision, batch and cores that does not exist."""

    # A ValueError too, for the same reason as BadDigest.
