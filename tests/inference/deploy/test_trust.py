"""Which releases a device with pinned keys takes, and which it refuses: one test a rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from artifacts.attachments import ServerPlace
from artifacts.errors import NotSigned, WrongSubject
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.reference import parse_reference
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import push
from inference.deploy.pull import pull
from inference.deploy.trust import TRUST_FILE, Trust
from tests.artifacts.remote.liar import REPOSITORY, Liar
from tests.inference.deploy.support import ONE, check_with
from tests.inference.deploy.trusting import NAME, Device, Publisher


def test_a_signed_release_is_pulled_by_version_digest_and_channel(publisher: Publisher, device: Device) -> None:
    digest = publisher.release("1.0.0")
    publisher.channel(1, digest)
    for name in ("1.0.0", digest, "stable"):
        assert device.pull(publisher.named(name)).release.digest == digest
    assert device.current == "1.0.0" and device.warnings == []


def test_a_server_serves_the_same_signatures(publisher: Publisher, device: Device) -> None:
    digest = publisher.release("1.0.0")
    record = publisher.channel(1, digest)
    with Liar() as liar:
        reference = parse_reference(f"{liar.place}/{REPOSITORY}:stable")
        push(publisher.root, "1.0.0", reference, access=Access())
        with RemoteRegistry(liar.place, REPOSITORY, access=Access(), actions="pull,push") as remote:
            ServerPlace(remote).write(channel_tag("stable"), record)
            trust = Trust(tuple(device.keys))
            with pytest.raises(NotSigned, match="is not signed"):
                pull(remote, reference, ONE, device.store, check=check_with(), trust=trust)
            envelope = json.dumps(publisher.envelope(signature_tag(digest))).encode()
            ServerPlace(remote).write(signature_tag(digest), envelope)
            done = pull(remote, reference, ONE, device.store, check=check_with(), trust=trust)
    assert done.current and done.release.digest == digest


@pytest.mark.parametrize("by", ["version", "digest"])
def test_an_unsigned_release_is_refused_and_nothing_is_fetched(publisher: Publisher, device: Device, by: str) -> None:
    digest = publisher.release("1.0.0", sign=False)
    with pytest.raises(NotSigned, match="is not signed, and keys are pinned"):
        device.pull(publisher.named("1.0.0" if by == "version" else digest))
    assert not (device.store.root / "blobs").exists() and device.current is None


def test_the_tag_of_one_chip_is_refused_with_the_way_out(publisher: Publisher, device: Device) -> None:
    publisher.release("1.0.0")
    with pytest.raises(NotSigned, match="leave the chip out"):
        device.pull(publisher.named("1.0.0-bm1684x"))


def spoil_payload(envelope: Any) -> None:
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["serial" if "serial" in payload else "version"] = 7 if "serial" in payload else "7"
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


def spoil_signature(envelope: Any) -> None:
    raw = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    raw[40] ^= 4
    envelope["signatures"][0]["sig"] = base64.b64encode(raw).decode()


@pytest.mark.parametrize("spoil", [spoil_payload, spoil_signature])
@pytest.mark.parametrize("which", ["release", "channel"])
def test_a_tampered_payload_or_signature_is_refused(
    publisher: Publisher, device: Device, spoil: Callable[[Any], None], which: str
) -> None:
    digest = publisher.release("1.0.0")
    publisher.channel(1, digest)
    tag = signature_tag(digest) if which == "release" else channel_tag("stable")
    envelope = publisher.envelope(tag)
    spoil(envelope)
    publisher.put(tag, json.dumps(envelope).encode())
    with pytest.raises(NotSigned, match="None of the trusted keys"):
        device.pull(publisher.named("stable"))
    assert device.current is None
    # What does not verify is not remembered either.
    assert (device.store.root / TRUST_FILE).exists() == (which == "release")


def test_the_signature_of_another_release_is_refused(publisher: Publisher, device: Device) -> None:
    first, second = publisher.release("1.0.0"), publisher.release("1.1.0", sign=False)
    publisher.put(signature_tag(second), json.dumps(publisher.envelope(signature_tag(first))).encode())
    with pytest.raises(WrongSubject, match=first):
        device.pull(publisher.named("1.1.0"))


def test_a_version_tag_that_was_moved_to_another_signed_release_is_refused(
    publisher: Publisher, device: Device
) -> None:
    old = publisher.release("1.0.0")
    publisher.release("1.1.0")
    index = publisher.root / "index.json"
    value = json.loads(index.read_bytes())
    for entry in value["manifests"]:
        if entry["annotations"]["org.opencontainers.image.ref.name"] == "1.1.0":
            entry["digest"] = old
    index.write_text(json.dumps(value))
    with pytest.raises(WrongSubject, match=r"should be the version '1\.1\.0'.*the version '1\.0\.0'"):
        device.pull(publisher.named("1.1.0"))


def test_what_is_signed_for_another_repository_is_refused(publisher: Publisher, device: Device) -> None:
    other = publisher.release("1.0.0", repository="people-counter")
    with pytest.raises(WrongSubject, match="--signed-as people-counter"):
        device.pull(publisher.named("1.0.0"))
    publisher.channel(1, other, repository="people-counter")
    with pytest.raises(WrongSubject, match="people-counter"):
        device.pull(publisher.named("stable"))
    assert device.pull(publisher.named("stable"), signed_as="people-counter").current
    # Nor may a record of another repository choose among the releases of this one.
    publisher.channel(2, publisher.release("1.1.0"), repository="people-counter")
    with pytest.raises(WrongSubject, match="people-counter"):
        device.pull(publisher.named("stable"))


def test_the_repository_is_the_last_part_of_the_reference_unless_told(publisher: Publisher, device: Device) -> None:
    publisher.release("1.0.0")
    with pytest.raises(WrongSubject, match="the repository 'registry'"):
        device.pull(publisher.named("1.0.0"), signed_as=None)
    copy = publisher.root.rename(publisher.root.parent / NAME)
    assert device.pull(parse_reference(f"oci:{copy}:1.0.0"), signed_as=None).current
