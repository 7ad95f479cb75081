"""What a device store holds, as one record: the links ``current`` and ``previous`` follow it."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from pydantic import Field, ValidationError
from typing_extensions import Literal

from artifacts.errors import BadRecord, NewerSchema
from artifacts.schema import check_itself, checked_json, problems, read_versioned
from artifacts.store import Blob, Digest
from artifacts.variant import Record
from inference.errors import DeployError

STATE_FILE = "state.json"
STATE_VERSION = "1.0"
MAX_STATE_BYTES = 64 << 20
FOLDER_PATTERN = r"^[0-9a-f]{64}-[A-Za-z0-9_]{1,80}$"

SelfTest = Literal["passed", "skipped", "not run"]


class PulledRelease(Record):
    """A release, or some of its models, in a folder of the store."""

    folder: str = Field(pattern=FOLDER_PATTERN, description="its name below releases/")
    digest: Digest = Field(description="of the index or manifest that it was pulled by")
    references: Tuple[str, ...] = Field(default=(), description="what it was asked for by, the latest last")
    name: str
    version: str
    models: Tuple[str, ...] = Field(description="paths of the bmodels, in the folder")
    files: Dict[str, Blob] = Field(description="by path in the folder")
    self_test: SelfTest = "not run"


class DeviceState(Record):
    """The whole store. Changes give a new state."""

    schema_version: str = STATE_VERSION
    releases: Tuple[PulledRelease, ...] = Field(default=(), description="in the order of pulling")
    current: Optional[str] = Field(default=None, pattern=FOLDER_PATTERN)
    previous: Optional[str] = Field(default=None, pattern=FOLDER_PATTERN)

    def find(self, folder: Optional[str]) -> Optional[PulledRelease]:
        """Return the release in a folder, None where there is none."""
        return next((one for one in self.releases if one.folder == folder), None)

    def with_release(self, release: PulledRelease) -> DeviceState:
        """Add a release, as the latest. A reference that named other content before names this from now on."""
        before = self.find(release.folder)
        known = before.references if before is not None else ()
        references = (*(one for one in known if one not in release.references), *release.references)
        others = []
        for one in self.releases:
            if one.folder != release.folder:
                kept = one.references
                if one.digest != release.digest:
                    kept = tuple(reference for reference in kept if reference not in release.references)
                others.append(one.model_copy(update={"references": kept}))
        added = release.model_copy(update={"references": references})
        return self.model_copy(update={"releases": (*others, added)})

    def activated(self, folder: str) -> DeviceState:
        """Make a release the current one; what was current becomes the previous one."""
        if folder == self.current:
            return self
        return self.model_copy(update={"current": folder, "previous": self.current})

    def swapped(self) -> DeviceState:
        """Make the previous release the current one, and the other way round."""
        return self.model_copy(update={"current": self.previous, "previous": self.current})

    def reduced(self) -> DeviceState:
        """Forget what is neither current nor previous."""
        kept = tuple(one for one in self.releases if one.folder in (self.current, self.previous))
        return self.model_copy(update={"releases": kept})

    def to_json(self) -> bytes:
        """Return the state as canonical JSON, with a digest of itself."""
        return checked_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes, where: object) -> DeviceState:
        """Read a state.

        Args:
            data: UTF-8 JSON. Unknown fields of a newer minor schema are ignored.
            where: The file, for messages.

        Raises:
            DeployError: It is damaged, or was written by a newer generation of this program.
        """
        try:
            value = read_versioned(data, STATE_VERSION, MAX_STATE_BYTES)
            check_itself(value)
            return cls.model_validate(value)
        except NewerSchema as error:
            raise DeployError(
                f"{where} has schema {error.found}; this program understands {STATE_VERSION}. Another, newer "
                "version of this program uses the same store: update this one, or use another --store"
            ) from error
        except (BadRecord, ValidationError) as error:
            reason = error.reason if isinstance(error, BadRecord) else problems(error)
            raise DeployError(
                f"{where} cannot be read: {reason}. Something else wrote to it. Remove it and pull again: what was "
                "fetched is kept, and the links stay as they are"
            ) from error
