"""Media types and annotation keys of a release in a registry.

The prefix ``org.opencontainers`` is reserved (image-spec 1.1, annotations.md), so our own names have our own prefix.
"""

from __future__ import annotations

PREFIX = "io.github.centernet-sophon"

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

ARTIFACT_TYPE = f"application/vnd.{PREFIX}.model.v1"
RELEASE_CONFIG = f"application/vnd.{PREFIX}.release.v1+json"
BMODEL = f"application/vnd.{PREFIX}.bmodel.v1"
EVIDENCE_TYPE = f"application/vnd.{PREFIX}.evidence.v1"
VALIDATION = f"application/vnd.{PREFIX}.validation.v1+json"
UNKNOWN = "application/octet-stream"
# image-spec 1.1, "Guidelines for Artifact Usage": an artifact without a configuration has this one, two bytes long.
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
SIGNATURE = f"application/vnd.{PREFIX}.signature.v1"
DSSE = "application/vnd.dsse.envelope.v1+json"
RELEASE_STATEMENT = f"application/vnd.{PREFIX}.release-statement.v1+json"
CHANNEL_RECORD = f"application/vnd.{PREFIX}.channel.v1+json"

TAG = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
CHIP = f"{PREFIX}.chip"
DEVICE = f"{PREFIX}.device"
ENGINE = f"{PREFIX}.engine"
NAME = f"{PREFIX}.name"
DEMONSTRATION = f"{PREFIX}.demonstration"

_BY_SUFFIX = {
    # Before the plain .json. Registered with IANA.
    ".cdx.json": "application/vnd.cyclonedx+json",
    ".bmodel": BMODEL,
    ".csv": "text/csv",
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def media_type_of(title: str) -> str:
    """Return the media type of a release's file, by the suffix of its name."""
    return next((kind for suffix, kind in _BY_SUFFIX.items() if title.lower().endswith(suffix)), UNKNOWN)
