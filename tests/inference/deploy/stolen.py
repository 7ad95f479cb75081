"""A registry whose password was stolen: what the thief does there, and what a device that pulls next makes of it."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

import requests
from pydantic import SecretStr

from artifacts import layout, media
from artifacts.attachments import ServerPlace, read_envelope
from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import ArtifactError
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.oci import read_manifest
from artifacts.reference import Reference
from artifacts.remote.access import Access, Credentials
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import packed
from artifacts.remote.upload import put_manifest, upload_blob, upload_bytes
from artifacts.statements import ChannelRecord, ReleaseStatement, signed, written_time
from artifacts.store import Blob, ContentStore
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


def put_own_release(stolen: Stolen) -> None:
    """The version's tag names the thief's release."""
    stolen.send(stolen.thief, NEW, NEW)


def move_channel(stolen: Stolen) -> None:
    """The channel's tag names the thief's release."""
    stolen.send(stolen.thief, NEW, "stable")


def sign_with_own_key(stolen: Stolen) -> None:
    """Release, signature and the channel's record are all the thief's."""
    stolen.send(stolen.thief, NEW, NEW)
    stolen.send(stolen.thief, NEW, "stable")
    stolen.copy_envelope(stolen.thief, signature_tag(stolen.evil))
    said = {"channel": "stable", "repository": NAME, "serial": 99, "digest": stolen.evil}
    stolen.put_record(signed(ChannelRecord.model_validate(said), [stolen.thief.signer]))


def reuse_signature(stolen: Stolen) -> None:
    """The publisher's signature of the newest release lies under the digest of the thief's."""
    stolen.send(stolen.thief, NEW, NEW)
    stolen.send(stolen.thief, NEW, "stable")
    found = read_envelope(stolen.publisher.place.registry, signature_tag(stolen.digests[NEW]))
    assert found is not None
    stolen.put_envelope(signature_tag(stolen.evil), found)
    stolen.put_record(found)


def replay_old(stolen: Stolen) -> None:
    """The old release with its old record is put back, as it was once published."""
    stolen.send(stolen.publisher, OLD, "stable")
    stolen.put_record(stolen.records[0])


def old_as_new(stolen: Stolen) -> None:
    """The newest version's tag names the old release, which is signed."""
    stolen.send(stolen.publisher, OLD, NEW)


def other_repository(stolen: Stolen) -> None:
    """A release of another repository by the same publisher, with signature and record, is put in the place."""
    other = Publisher(stolen.folder / "other")
    publish(other.folder, NEW, padding=32)
    digest = layout.resolve(other.root, NEW)[0]
    said = {"repository": "people-counter", "version": NEW, "digest": digest}
    other.put(signature_tag(digest), signed(ReleaseStatement.model_validate(said), [stolen.publisher.signer]))
    stolen.send(other, NEW, NEW)
    stolen.send(other, NEW, "stable")
    stolen.copy_envelope(other, signature_tag(digest))
    record = {"channel": "stable", "repository": "people-counter", "serial": 50, "digest": digest}
    stolen.put_record(signed(ChannelRecord.model_validate(record), [stolen.publisher.signer]))


def delete_signature(stolen: Stolen) -> None:
    """The signature of the newest release is deleted."""
    stolen.delete_tag(signature_tag(stolen.digests[NEW]))


def delete_record(stolen: Stolen) -> None:
    """The channel's record is deleted, and the tag names the old release."""
    stolen.delete_tag(channel_tag("stable"))
    stolen.send(stolen.publisher, OLD, "stable")


def delete_release(stolen: Stolen) -> None:
    """The newest release is deleted."""
    stolen.delete(f"manifests/{stolen.digests[NEW]}")


def delete_blobs(stolen: Stolen) -> None:
    """Every file of the newest release is deleted."""
    for blob in packed(stolen.publisher.root, NEW).blobs:
        stolen.delete(f"blobs/{blob.digest}")


def alter_model(stolen: Stolen) -> None:
    """A byte of the model is changed on the server's disk."""
    (model,) = [
        blob
        for title, blob in packed_files(stolen).items()
        if title == f"{ONE.chip}/centernet_{ONE.precision}_1b.bmodel"
    ]
    stolen.spoil(model.digest)


def alter_index(stolen: Stolen) -> None:
    """A byte of the release's index is changed on the server's disk."""
    stolen.spoil(stolen.digests[NEW])


def alter_record_of_channel(stolen: Stolen) -> None:
    """The record says another digest, under the publisher's signature."""
    envelope = json.loads(stolen.records[-1])
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload.update(digest=stolen.digests[OLD], serial=9)
    envelope["payload"] = base64.b64encode(canonical_json(payload)).decode()
    stolen.put_record(json.dumps(envelope).encode())


def put_nonsense(stolen: Stolen) -> None:
    """What lies under the tags is no release and no record."""
    with stolen.remote() as remote:
        upload_bytes(remote, b"{}")
        config = {"mediaType": "application/x", "digest": digest_bytes(b"{}"), "size": 2}
        data = canonical_json(
            {"schemaVersion": 2, "mediaType": media.MANIFEST, "config": config, "layers": [], "artifactType": "x/y"}
        )
        for tag in (NEW, "stable", channel_tag("stable"), signature_tag(stolen.digests[NEW])):
            put_manifest(remote, tag, data, media.MANIFEST)


THEFTS: List[Callable[[Stolen], None]] = [
    put_own_release,
    move_channel,
    sign_with_own_key,
    reuse_signature,
    replay_old,
    old_as_new,
    other_repository,
    delete_signature,
    delete_record,
    delete_release,
    delete_blobs,
    alter_model,
    alter_index,
    alter_record_of_channel,
    put_nonsense,
]


def packed_files(stolen: Stolen) -> Dict[str, Blob]:
    """The files of the newest release, by title."""
    found: Dict[str, Blob] = {}
    for data in packed(stolen.publisher.root, NEW).children.values():
        found.update(read_manifest(data).files)
    return found


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
