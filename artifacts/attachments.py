"""Signatures beside the releases: each envelope is an ordinary artifact under a tag of its own.

So they lie in a layout and on every server alike, and none has to know the referrers API, which few do. A signature is
tagged by its release's digest; a channel's record is tagged by the channel, and the next one takes its place.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import ContextManager, Iterator, Mapping, Optional

from typing_extensions import Protocol

from artifacts import layout, media
from artifacts.descriptors import EMPTY, artifact
from artifacts.digest import digest_bytes
from artifacts.errors import NotSigned, UnknownTag
from artifacts.files import PathLike, locked
from artifacts.in_use import in_use
from artifacts.layout_tags import TagChange, changes_for, tag_entry
from artifacts.oci import Built, parse
from artifacts.registry import LayoutRegistry, Registry
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.upload import put_manifest, upload_bytes
from artifacts.signing import MAX_ENVELOPE_BYTES
from artifacts.store import Blob, ContentStore

_TITLE = "signature.json"
CHANNEL_LOCK = ".channels.lock"


class Place(Protocol):
    """A repository whose signatures and channels are written."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    @property
    def registry(self) -> Registry:
        """The same, for reading."""

    def write(self, tag: str, envelope: bytes) -> None:
        """Put an envelope under a tag, in place of the one that is there.

        Raises:
            RegistryError: The registry cannot be written.
            StoreError: The folder cannot be written.
        """

    def move(self, channel: str, index: bytes, manifests: Mapping[str, bytes]) -> None:
        """Let a channel's plain tag name a release that is there, for tools that know no records.

        Args:
            channel: Which.
            index: The release's index.
            manifests: Its manifests by chip.

        Raises:
            As `write`.
        """

    def alone(self) -> ContextManager[None]:
        """Keep other writers of channels away while the body runs, where that can be done."""


class LayoutPlace:
    """A layout on this machine.

    Args:
        root: Its folder; it exists.
    """

    def __init__(self, root: PathLike) -> None:
        self._root = Path(root)
        self.name = str(root)
        self.registry: Registry = LayoutRegistry(self._root)

    def write(self, tag: str, envelope: bytes) -> None:
        """See `Place.write`."""
        store = ContentStore(self._root)
        manifest = _manifest(envelope)
        with in_use(self._root):
            for data in (EMPTY, envelope, manifest):
                store.put_bytes(data)
            layout.retag(self._root, [TagChange(tag, tag_entry(media.MANIFEST, manifest, tag), moves=True)])

    def move(self, channel: str, index: bytes, manifests: Mapping[str, bytes]) -> None:
        """See `Place.move`."""
        layout.retag(self._root, changes_for(Built(index, dict(manifests), b""), [channel]))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Place.alone`."""
        with locked(self._root / CHANNEL_LOCK):
            yield


class ServerPlace:
    """A repository on a server.

    Servers do not compare before they set a tag, so two who move one channel at the same moment are told apart only
    by what is there afterwards.

    Args:
        registry: Opened for pushing.
    """

    def __init__(self, registry: RemoteRegistry) -> None:
        self._remote = registry
        self.name = registry.transport.name
        self.registry: Registry = registry

    def write(self, tag: str, envelope: bytes) -> None:
        """See `Place.write`."""
        for data in (EMPTY, envelope):
            upload_bytes(self._remote, data)
        self._put(tag, _manifest(envelope), media.MANIFEST)

    def move(self, channel: str, index: bytes, manifests: Mapping[str, bytes]) -> None:
        """See `Place.move`."""
        self._put(channel, index, media.INDEX)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Place.alone`; nobody is kept away."""
        yield

    def _put(self, tag: str, data: bytes, media_type: str) -> None:
        if self._remote.tag_digest(tag) != digest_bytes(data):
            put_manifest(self._remote, tag, data, media_type)


def read_envelope(registry: Registry, tag: str) -> Optional[bytes]:
    """Read what lies under the tag of a signature or of a channel's record; nothing about it is verified.

    Args:
        registry: Where.
        tag: Which (`artifacts.layout_tags.signature_tag`, `channel_tag`).

    Returns:
        The envelope, None where there is no such tag.

    Raises:
        NotSigned: Something else lies there.
        RegistryError: The registry cannot be read.
        StoreError: The bytes are missing or damaged.
    """
    try:
        data = registry.resolve(tag)[1]
    except UnknownTag:
        return None
    manifest = parse(data, "a manifest")
    layers = manifest.get("layers")
    if manifest.get("artifactType") != media.SIGNATURE or not isinstance(layers, list) or len(layers) != 1:
        raise NotSigned(f"{tag} is no signature: something else lies under its tag. Sign again.")
    try:
        layer = Blob.model_validate(layers[0])
    except ValueError as error:
        raise NotSigned(f"{tag} is no signature: its manifest names no envelope. Sign again.") from error
    return registry.read(layer, MAX_ENVELOPE_BYTES)


def _manifest(envelope: bytes) -> bytes:
    return artifact(media.SIGNATURE, media.DSSE, _TITLE, envelope)
