"""What a thief does with the password of a registry."""

from __future__ import annotations

import base64
import json
from typing import Callable, Dict, List

from artifacts import layout, media
from artifacts.attachments import read_envelope
from artifacts.digest import canonical_json, digest_bytes
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.oci import read_manifest
from artifacts.remote.push import packed
from artifacts.remote.upload import put_manifest, upload_bytes
from artifacts.statements import ChannelRecord, ReleaseStatement, signed
from artifacts.store import Blob
from tests.inference.deploy.stolen import NEW, OLD, Stolen
from tests.inference.deploy.support import ONE, publish
from tests.inference.deploy.trusting import NAME, Publisher


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
