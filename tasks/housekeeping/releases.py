"""The releases that the registry has, as far as cleaning has to know them. Reads, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from artifacts import layout
from artifacts.errors import ArtifactError
from artifacts.layout_index import is_layout, load_index
from artifacts.layout_reach import channel_digests, reached_from, releases
from artifacts.layout_tags import CHANNELS
from artifacts.oci import MAX_MANIFEST_BYTES, read_index, read_manifest
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord


class Release(NamedTuple):
    """One release.

    Attributes:
        digest: Of its index.
        tags: All its tags.
        channels: The channels that mean it, by their tags or their signed records.
        models: Digests of its bmodels.
        made_from: Digests of its files, of its weights and of its calibration table.
        compiler: Version and fingerprint of the toolchain.
    """

    digest: str
    tags: tuple[str, ...]
    channels: tuple[str, ...]
    models: frozenset[str]
    made_from: frozenset[str]
    compiler: tuple[str, str]

    @property
    def name(self) -> str:
        """How it is called in messages: by its version, where it has one."""
        return next((tag for tag in self.tags if tag not in CHANNELS), self.digest)


class Releases(NamedTuple):
    """All releases of a registry's folder.

    Attributes:
        found: Those that could be read.
        problems: What could not be, in words. What those releases need cannot be told then.
    """

    found: tuple[Release, ...] = ()
    problems: tuple[str, ...] = ()


def read_releases(root: Path) -> Releases:
    """Read the releases of a registry's folder.

    Args:
        root: The folder; need not exist.

    Returns:
        The releases, and what could not be read.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return Releases()
    try:
        if not is_layout(root):
            return Releases(problems=(f"{root} is no registry layout",))
        index = load_index(root)
        named = {channel: channel_digests(root, index, channel) for channel in CHANNELS}
        tagged = releases(root)
    except (ArtifactError, OSError, ValueError, LookupError) as error:
        return Releases(problems=(f"the registry {root} cannot be read: {error}",))
    found, problems = [], []
    for one in tagged:
        channels = tuple(name for name, digests in named.items() if one.digest in digests)
        try:
            found.append(_read(root, one.digest, one.tags, channels))
        except (ArtifactError, OSError) as error:
            problems.append(f"the release {' = '.join(one.tags)} cannot be read: {error}")
    return Releases(tuple(found), tuple(problems))


def _read(root: Path, digest: str, tags: tuple[str, ...], channels: tuple[str, ...]) -> Release:
    _, data = layout.resolve(root, digest)
    child = read_index(data)[0]
    manifest = read_manifest(layout.small_blob(root, child.blob.digest, MAX_MANIFEST_BYTES), child.chip)
    record = ReleaseRecord.from_json(layout.small_blob(root, manifest.record.digest, MAX_RECORD_BYTES))
    made_from = {*reached_from(root, digest), record.provenance.weights_digest}
    if record.calibration is not None:
        made_from |= {record.calibration.table_digest, record.calibration.manifest.digest}
    compiler = record.provenance.toolchain
    return Release(
        digest=digest,
        tags=tags,
        channels=channels,
        models=frozenset(one.blob.digest for one in record.variants),
        made_from=frozenset(made_from),
        compiler=(compiler.version, compiler.fingerprint),
    )
