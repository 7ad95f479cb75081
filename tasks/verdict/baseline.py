"""The last good release: what the channel `latest` names. Nothing else is remembered of earlier compilers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from artifacts.errors import UnknownTag
from artifacts.layout_index import is_layout
from artifacts.reference import DEFAULT_NAME, Reference, parse_reference
from artifacts.registry import open_registry
from settings.sections import ReleaseSettings
from tasks.released import measurements_of
from tasks.signing import subject_at
from tasks.verdict.figures import Side


class LastGood(NamedTuple):
    """The release that `latest` names.

    Attributes:
        digest: Its name.
        side: What it says of itself, and what was measured of it.
        place: Where it was found.
    """

    digest: str
    side: Side
    place: str

    @property
    def version(self) -> str:
        """Its version."""
        return self.side.record.version

    @property
    def compiler(self) -> str:
        """Version of the compiler that made it."""
        return self.side.record.provenance.toolchain.version


def last_good(release: ReleaseSettings) -> LastGood | None:
    """Read what `latest` names: in the registry on this machine, and where that has none, on the server.

    Args:
        release: Where releases are published and pushed to.

    Returns:
        The release; None where nothing was published yet.

    Raises:
        LayoutError: The registry is damaged.
        RegistryError: The server cannot be reached, or refuses.
        StoreError: Bytes of the release are missing or damaged.
        ReleaseError: Its record cannot be used.
    """
    for reference in _places(release):
        with open_registry(reference) as registry:
            try:
                subject = subject_at(registry, reference.name)
            except UnknownTag:
                continue
            measured = measurements_of(registry, subject)
        return LastGood(subject.digest, Side(subject.record, measured), str(reference))
    return None


def _places(release: ReleaseSettings) -> Iterator[Reference]:
    if is_layout(Path(release.repository)):
        yield Reference(kind="oci", place=str(release.repository), name=DEFAULT_NAME)
    if release.push is not None:
        yield parse_reference(release.push).named(DEFAULT_NAME)
