"""What a provisioned toolchain is, to the tasks that use it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Toolchain(BaseModel):
    """A compiler that stands ready in an environment of its own.

    Only `fingerprint` enters a cache key: where the environment lies on this machine changes no result.

    Attributes:
        name: `tpu-mlir`.
        version: The release, as its package states it.
        fingerprint: Digest over the version, the exact package set and the names of the quirks.
        root: Folder of the environment.
        python: The environment's interpreter.
        quirks: Names of the quirks that were looked after.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    fingerprint: str
    root: str
    python: str
    quirks: tuple[str, ...] = ()

    @property
    def bin(self) -> Path:
        """Folder of the compiler's commands."""
        return Path(self.root) / "bin"
