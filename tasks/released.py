"""Reading a published release with all that was measured of it."""

from __future__ import annotations

from typing import NamedTuple

from artifacts.evidence import Evidence, evidence_of
from artifacts.export import ReleaseFiles
from artifacts.measurements import MAX_MEASUREMENTS_BYTES, MEASUREMENTS_TITLE, Measurements
from artifacts.oci import read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry, open_registry
from artifacts.release import ReleaseRecord
from tasks.signing import Subject, subject_at


class Released(NamedTuple):
    """A published release.

    Attributes:
        digest: Its name.
        record: What it says of itself.
        measurements: All that was measured of it; None for a release from before they were kept.
        evidence: What devices measured of it since.
    """

    digest: str
    record: ReleaseRecord
    measurements: Measurements | None
    evidence: tuple[Evidence, ...]


def read_released(reference: Reference) -> Released:
    """Read a release, its measurements and the evidence that is attached to it.

    Args:
        reference: The release.

    Raises:
        UnknownTag: There is no such release.
        LayoutError: It is no whole release, or what is attached to it is damaged or by a newer program.
        RegistryError: The registry cannot be read.
        StoreError: Bytes are missing or damaged.
        ReleaseError: Its record or its measurements cannot be used.
    """
    with open_registry(reference) as registry:
        subject = subject_at(registry, reference.name)
        found = evidence_of(registry, subject.digest)
        return Released(subject.digest, subject.record, measurements_of(registry, subject), found)


def measurements_of(registry: Registry, subject: Subject) -> Measurements | None:
    """Read the measurements of a release.

    Args:
        registry: Where it is.
        subject: The release.

    Returns:
        The measurements; None for a release from before they were kept.

    Raises:
        RegistryError: The registry cannot be read.
        StoreError: Bytes are missing or damaged.
        ReleaseError: They are of a newer generation, or wrong.
    """
    files = ReleaseFiles.of([read_manifest(data, chip) for chip, data in subject.manifests.items()])
    blob = files.blobs.get(MEASUREMENTS_TITLE)
    return None if blob is None else Measurements.from_json(registry.read(blob, MAX_MEASUREMENTS_BYTES))
