"""Descriptors, and artifacts of one file: what signatures and evidence are to a registry (OCI image-spec 1.1)."""

from __future__ import annotations

from typing import Any, Dict

from artifacts import media
from artifacts.digest import canonical_json
from artifacts.store import Blob

# image-spec 1.1, "Guidance for an Empty Descriptor": the configuration of an artifact that has none.
EMPTY = b"{}"


def descriptor(media_type: str, blob: Blob) -> Dict[str, Any]:
    """Return a descriptor (image-spec 1.1, descriptor.md)."""
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def artifact(artifact_type: str, layer_type: str, title: str, data: bytes, **more: Any) -> bytes:
    """Make the manifest of an artifact that is one file (image-spec 1.1, "Guidelines for Artifact Usage").

    Args:
        artifact_type: What it is.
        layer_type: Media type of the file.
        title: Name of the file.
        data: The file.
        more: Further fields of the manifest.
    """
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": media.MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor(media.EMPTY_CONFIG, Blob.of(EMPTY)),
            "layers": [{**descriptor(layer_type, Blob.of(data)), "annotations": {media.TITLE: title}}],
            **more,
        }
    )
