"""What travels between the steps of a validation on a device."""

from __future__ import annotations

from pydantic import Field

from artifacts.evidence import Evidence
from artifacts.release import ReleaseRecord, VariantRecord
from artifacts.store import Blob, Digest
from artifacts.variant import Chip, Io, Precision
from settings.sources import LabelledFolderSource
from tasks.records import Record


class Request(Record):
    """What shall be validated, and where.

    Attributes:
        reference: The release, as ``oci:FOLDER:TAG`` or ``HOST/REPOSITORY:TAG``.
        device: A device of the settings.
        chip: Only models for this chip; None takes the device's, where that is known.
        precision: Only models in this precision.
        batch: Only models that take so many images at once.
        cores: Only models for so many cores.
        io: Only models that take float or raw pixels; None takes float where there are both.
        every: All models that fit, not exactly one.
        source: Images in place of the settings' evaluation set.
        limit: Only the first so many images, in place of the settings' limit.
        evidence: Attach what is found to the release.
    """

    reference: str = Field(description="the release: oci:FOLDER:TAG or HOST/REPOSITORY:TAG")
    device: str = Field(default="simulator", description="a device of the settings, by name")
    chip: Chip | None = Field(default=None, description="only models for this chip; none takes the device's")
    precision: Precision | None = Field(default=None, description="only models in this precision")
    batch: int | None = Field(default=None, ge=1, description="only models that take so many images at once")
    cores: int | None = Field(default=None, ge=1, description="only models for so many cores")
    io: Io | None = Field(default=None, description="only models of float or raw input; none prefers float")
    every: bool = Field(default=False, description="all models that fit, not exactly one")
    source: LabelledFolderSource | None = Field(default=None, description="images in place of the evaluation set")
    limit: int | None = Field(default=None, ge=1, description="only the first so many images by id")
    evidence: bool = Field(default=True, description="attach what is found to the release")


class Machine(Record):
    """What a device has.

    Attributes:
        python: Its Python's version.
        machine: Its processor's architecture.
        chip: Its chip, where it is known.
    """

    python: str
    machine: str
    chip: str | None


class TakenRelease(Record):
    """A release whose record and chosen models are in the store.

    Attributes:
        digest: Of its index.
        record: What it says about itself.
        record_blob: The record's bytes.
        chosen: The models to validate.
    """

    digest: Digest
    record: ReleaseRecord
    record_blob: Blob
    chosen: tuple[VariantRecord, ...]


class Delivered(Record):
    """Where things lie on a device.

    Attributes:
        release: Folder of the release.
        data: Folder of the images and annotations.
        copied: Files that were not there already.
        copied_bytes: Their size together.
    """

    release: str
    data: str
    copied: int
    copied_bytes: int


class Validated(Record):
    """A finished validation.

    Attributes:
        digest: Of the release's index.
        version: The release's.
        found: What was found, one for each model.
        files: The same as files on this machine.
        evidence: All that is attached to the release now, in a few words.
    """

    digest: Digest
    version: str
    found: tuple[Evidence, ...]
    files: tuple[str, ...]
    evidence: str
