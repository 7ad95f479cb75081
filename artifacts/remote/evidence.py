"""Attaching evidence to a release on a server."""

from __future__ import annotations

from typing import Optional

from artifacts import media
from artifacts.descriptors import EMPTY
from artifacts.digest import digest_bytes
from artifacts.errors import UnknownTag
from artifacts.evidence import Evidence, attachment, with_referrer
from artifacts.layout_tags import referrers_tag
from artifacts.reference import Reference
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.upload import put_manifest, upload_bytes


def attach(target: Reference, evidence: Evidence, *, access: Optional[Access] = None) -> str:
    """Attach evidence to a release on a server; the release itself and its digest stay as they are.

    The index of referrers is written by us always: a server that keeps one of its own (distribution-spec 1.1) does not
    mind. No server compares before it sets a tag: of two that attach in the same moment, one may have to be repeated.

    Args:
        target: The release's repository.
        evidence: What was found.
        access: Credentials and trust; what the environment and docker's configuration say when None.

    Returns:
        Digest of the new manifest.

    Raises:
        UnknownTag: The server has no such release.
        LayoutError: Something else has the tag of the index of referrers.
        RegistryError: The server cannot be reached, or refuses.
    """
    with RemoteRegistry(target.place, target.repository, access=access, actions="pull,push") as registry:
        _, subject = registry.resolve(evidence.release)
        made = attachment(evidence, len(subject))
        for data in (EMPTY, made.layer):
            upload_bytes(registry, data)
        digest = digest_bytes(made.manifest)
        put_manifest(registry, digest, made.manifest, media.MANIFEST)
        tag = referrers_tag(evidence.release)
        try:
            _, before = registry.resolve(tag)
        except UnknownTag:
            before = None
        put_manifest(registry, tag, with_referrer(before, made.descriptor), media.INDEX)
    return digest
