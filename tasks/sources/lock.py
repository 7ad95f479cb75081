"""The lock file: what sources without a published digest were found to be on first use.

JSON, sorted and indented, so that it is kept under version control and its changes can be read.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artifacts.bounded import read_bounded
from artifacts.errors import ArtifactError
from artifacts.files import atomic_write, locked
from artifacts.schema import problems
from tasks.errors import BadLockFile, DownloadError, FailureKind, MirrorFailure, TargetUnusable

_WAIT_S = 60.0
# Some 300 bytes for each of a hundred thousand files.
MAX_LOCK_BYTES = 64 << 20


class Recorded(BaseModel):
    """What one source was found to be.

    Attributes:
        mirror: Where it was had from, without secrets.
        digest: Its `sha256:` digest.
        size: Its number of bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mirror: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    sources: dict[str, Recorded] = {}


class LockFile:
    """A lock file in use; many threads and processes may record in it at the same time."""

    def __init__(self, path: Path) -> None:
        """Read the file, where there is one.

        Raises:
            BadLockFile: It is there and cannot be read.
        """
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._known = self._read()
        self._pending: dict[str, Recorded] = {}
        self._guard = threading.Lock()
        self._writing = threading.Lock()

    def get(self, name: str) -> Recorded | None:
        """Return what is recorded for a name, as far as this object has read or written."""
        with self._guard:
            return self._known.get(name)

    @property
    def known(self) -> dict[str, Recorded]:
        """All that is recorded, by name."""
        with self._guard:
            return dict(self._known)

    def refresh(self) -> None:
        """See what others have recorded meanwhile.

        Raises:
            BadLockFile: The file became unreadable.
        """
        with self._writing:
            if self._signature() != self._seen:
                known = self._read()
                with self._guard:
                    self._known = known

    def record(self, name: str, found: Recorded) -> None:
        """Record a source, durably, before anybody uses it.

        Threads that come while another writes are written together by the next one, so that thousands of small files
        do not write the whole file thousands of times.

        Args:
            name: The source's name.
            found: What it is.

        Raises:
            MirrorFailure: It is recorded already, with other bytes.
            BadLockFile: The file became unreadable.
            DownloadError: It cannot be written.
        """
        with self._guard:
            self._pending[name] = found
        with self._writing:
            with self._guard:
                batch, self._pending = self._pending, {}
            if batch:
                self._write(batch)
        kept = self.get(name)
        if kept is None:
            raise DownloadError(f"what was downloaded for {name} could not be recorded in {self.path}. Run again.")
        if (kept.digest, kept.size) != (found.digest, found.size):
            reason = f"gave {found.digest}, and {self.path} has {kept.digest} from {kept.mirror}"
            raise MirrorFailure(FailureKind.WRONG_BYTES, reason, discard=True)

    def _write(self, batch: dict[str, Recorded]) -> None:
        try:
            with locked(self.path.with_name(f".{self.path.name}.lock"), timeout_s=_WAIT_S):
                merged = batch | self._read()
                content = _Content(sources=dict(sorted(merged.items())))
                atomic_write(self.path, content.model_dump_json(indent=2).encode() + b"\n")
                self._seen = self._signature()
        except ArtifactError as error:
            raise DownloadError(f"what was downloaded could not be recorded: {error}") from error
        except OSError as error:
            raise TargetUnusable(self.path, error.strerror or str(error)) from error
        with self._guard:
            self._known = merged

    def _signature(self) -> tuple[int, int, int] | None:
        with suppress(OSError):
            found = self.path.stat()
            return found.st_ino, found.st_mtime_ns, found.st_size
        return None

    def _read(self) -> dict[str, Recorded]:
        # Taken before reading: a change in between is then seen as one later.
        self._seen = self._signature()
        try:
            return _Content.model_validate_json(read_bounded(self.path, MAX_LOCK_BYTES)).sources
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BadLockFile(self.path, error.strerror or str(error)) from error
        except ValidationError as error:
            raise BadLockFile(self.path, problems(error)) from error
