"""A registry whose password was stolen: what the thief does there, and what a device that pulls next makes of it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import requests
from pydantic import SecretStr

from artifacts import layout, media
from artifacts.attachments import ServerPlace, read_envelope
from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.reference import Reference
from artifacts.remote.access import Access, Credentials
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import packed
from artifacts.remote.upload import put_manifest, upload_blob
from artifacts.statements import ReleaseStatement, signed, written_time
from artifacts.store import ContentStore
from inference.deploy.pull import pull
from inference.deploy.store import DeviceStore
from inference.deploy.trust import Trust
from inference.errors import InferenceError
from tests.artifacts.keys import signer
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.conftest import QUICK
from tests.artifacts.remote.debian import PASSWORD, USER, docker_registry
from tests.inference.deploy.support import ONE, check_with, publish
from tests.inference.deploy.trusting import NAME, NOW, Publisher

OLD, NEW = "1.0.0", "1.1.0"


class Server(NamedTuple):
    """A server with passwords.

    Attributes:
        place: Its `host:port`.
        folder: Its files.
        certificate: Of its authority.
    """

    place: str
    folder: Path
    certificate: Path


class Stolen:
    """A server with two signed releases of which `stable` is the newer one, and a device that has seen both.

    The release in use on the device is the older one, so that a pull of the newer one would fetch something.

    Attributes:
        publisher: Whose releases they are; with a layout of its own.
        repository: Where they are on the server.
        digests: Of the releases, by version.
    """

    def __init__(self, folder: Path, server: Server, number: int) -> None:
        self.folder, self._server, self.place = folder, server, server.place
        self.repository = f"models-{number}/{NAME}"
        self._spoilt: Dict[Path, bytes] = {}
        certificate = server.certificate
        given = Credentials(user=USER, password=SecretStr(PASSWORD))
        self.access = Access(given=given, ca_file=certificate)
        self.publisher = Publisher(folder / "publisher")
        self.thief = Publisher(folder / "thief")
        self.thief.signer = signer("thief")
        self.digests: Dict[str, str] = {}
        self.records: List[bytes] = []
        for serial, version in enumerate((OLD, NEW), 1):
            self.digests[version] = self.publisher.release(version)
            # The tag is a plain copy for tools that know no records.
            self.send(self.publisher, version, version)
            expires = written_time(NOW + timedelta(days=30))
            self.records.append(self.publisher.channel(serial, self.digests[version], expires=expires))
            self.copy_envelope(self.publisher, signature_tag(self.digests[version]))
        self.send(self.publisher, NEW, "stable")
        self.put_record(self.records[-1])
        self.evil = self.evil_release()

    def evil_release(self) -> str:
        """The thief's own release under the newest version, signed by the thief; only in the thief's layout so far."""
        publish(self.thief.folder, NEW, padding=64)
        digest = layout.resolve(self.thief.root, NEW)[0]
        said = {"repository": NAME, "version": NEW, "digest": digest}
        self.thief.put(signature_tag(digest), signed(ReleaseStatement.model_validate(said), [self.thief.signer]))
        assert digest != self.digests[NEW]
        return digest

    def reference(self, name: str) -> Reference:
        return Reference(kind="remote", place=self.place, repository=self.repository, name=name)

    @contextmanager
    def remote(self, actions: str = "pull,push") -> Iterator[RemoteRegistry]:
        with RemoteRegistry(self.place, self.repository, access=self.access, limits=QUICK, actions=actions) as found:
            yield found

    def send(self, owner: Publisher, version: str, tag: str) -> None:
        """Bring a release there and put a tag on it, whatever the tag named before."""
        parcel = packed(owner.root, version)
        with self.remote() as remote:
            store = ContentStore(owner.root)
            for blob in parcel.blobs:
                upload_blob(remote, blob, store.path(blob))
            for data in parcel.children.values():
                put_manifest(remote, digest_bytes(data), data, media.MANIFEST)
            put_manifest(remote, tag, parcel.index, media.INDEX)

    def copy_envelope(self, owner: Publisher, tag: str) -> None:
        found = read_envelope(owner.place.registry, tag)
        assert found is not None
        self.put_envelope(tag, found)

    def put_envelope(self, tag: str, envelope: bytes) -> None:
        with self.remote() as remote:
            ServerPlace(remote).write(tag, envelope)

    def put_record(self, envelope: bytes, channel: str = "stable") -> None:
        self.put_envelope(channel_tag(channel), envelope)

    def delete(self, what: str) -> None:
        """Ask the server to forget a manifest or a blob."""
        answer = requests.delete(
            f"https://{self.place}/v2/{self.repository}/{what}",
            auth=(USER, PASSWORD),
            verify=str(self.access.ca_file),
            timeout=30,
        )
        assert answer.status_code == 202, answer.text

    def delete_tag(self, tag: str) -> None:
        with self.remote() as remote:
            self.delete(f"manifests/{remote.tag_digest(tag)}")

    def spoil(self, digest: str) -> None:
        """Change a bit of stored bytes: only who has the server itself gets there. They serve all its repositories."""
        name = digest[len("sha256:") :]
        path = self._server.folder / "data/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        self._spoilt[path] = path.read_bytes()
        data = bytearray(self._spoilt[path])
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))

    def mend(self) -> None:
        """Put back what was spoilt."""
        for path, data in self._spoilt.items():
            path.write_bytes(data)


class Outcome(NamedTuple):
    """What a device made of it.

    Attributes:
        taken: The digest that it runs afterwards, None where it had none and took none.
        error: The class of what it said, empty where it pulled.
    """

    taken: Optional[str]
    error: str


class Board:
    """A device that pulls over the network."""

    def __init__(self, stolen: Stolen, folder: Path, *, keys: bool) -> None:
        self._stolen = stolen
        self.store = DeviceStore(folder)
        self._keys = (stolen.publisher.signer.key,) if keys else ()
        self.now = NOW

    def pull(self, name: str) -> Outcome:
        trust = Trust(self._keys, now=lambda: self.now, warn=lambda text: None)
        error = ""
        with self._stolen.remote("pull") as remote:
            try:
                pull(remote, self._stolen.reference(name), ONE, self.store, check=check_with(), trust=trust)
            except (ArtifactError, InferenceError) as found:
                error = type(found).__name__
        state = self.store.state()
        release = state.find(state.current)
        return Outcome(None if release is None else release.digest, error)


@contextmanager
def server_in(folder: Path) -> Iterator[Server]:
    """Run a server while the body runs."""
    authority = Authority(folder / "authority")
    with docker_registry(folder / "server", authority.issue("registry")) as place:
        yield Server(place, folder / "server", authority.certificate)


@contextmanager
def stolen_registry(folder: Path, server: Server, number: int) -> Iterator[Stolen]:
    """A repository as it was before the thief came."""
    stolen = Stolen(folder, server, number)
    try:
        yield stolen
    finally:
        stolen.mend()
