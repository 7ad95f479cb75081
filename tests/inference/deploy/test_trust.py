"""What a device with pinned keys takes, and what it refuses: one test a rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, List, Optional

import pytest

from artifacts import layout
from artifacts.attachments import LayoutPlace, ServerPlace, read_envelope
from artifacts.errors import BadKey, NotSigned, RecordExpired, RolledBack, SignatureError, WrongSubject
from artifacts.layout_tags import changes_for, channel_tag, signature_tag
from artifacts.oci import Built
from artifacts.reference import Reference, parse_reference
from artifacts.registry import LayoutRegistry
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import packed, push
from artifacts.signing import PublicKey, Signer, public_key, public_pem
from artifacts.statements import ChannelRecord, ReleaseStatement, signed, written_time
from inference.__main__ import main
from inference.deploy.prune import prune, rollback
from inference.deploy.pull import Pulled, pull
from inference.deploy.store import DeviceStore
from inference.deploy.trust import TRUST_FILE, Trust, pinned_keys
from inference.errors import DeployError, SelfTestFailed
from tests.artifacts.keys import signer
from tests.artifacts.remote.liar import REPOSITORY, Liar
from tests.inference.deploy.support import ONE, check_with, publish

UTC = timezone.utc  # noqa: UP017
NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "centernet"


class Publisher:
    """Publishes and signs into one layout, as the build side does, and as somebody who has taken the registry over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "registry"
        self.place = LayoutPlace(self.root)
        self.signer: Signer = signer("publisher")

    def release(self, version: str, *, sign: bool = True, **claims: Any) -> str:
        publish(self.folder, version)
        digest = layout.resolve(self.root, version)[0]
        if sign:
            said = {"repository": NAME, "version": version, "digest": digest, **claims}
            self.put(signature_tag(digest), signed(ReleaseStatement.model_validate(said), [self.signer]))
        return digest

    def channel(self, serial: int, digest: str, channel: str = "stable", **claims: Any) -> bytes:
        said = {"channel": channel, "repository": NAME, "serial": serial, "digest": digest, **claims}
        envelope = signed(ChannelRecord.model_validate(said), [self.signer])
        self.put(channel_tag(channel), envelope)
        return envelope

    def put(self, tag: str, envelope: bytes) -> None:
        self.place.write(tag, envelope)

    def envelope(self, tag: str) -> Any:
        found = read_envelope(self.place.registry, tag)
        assert found is not None
        return json.loads(found)

    def move_plain_tag(self, channel: str, version: str) -> None:
        parcel = packed(self.root, version)
        layout.retag(self.root, changes_for(Built(parcel.index, parcel.children, b""), [channel]))

    def named(self, name: str) -> Reference:
        return parse_reference(f"oci:{self.root}").named(name)


class Device:
    """A device with pinned keys."""

    def __init__(self, folder: Path, keys: List[PublicKey]) -> None:
        self.store = DeviceStore(folder / "device")
        self.keys = keys
        self.warnings: List[str] = []
        self.now = NOW

    def pull(self, reference: Reference, *, broken: bool = False, **options: Any) -> Pulled:
        trust = Trust(
            tuple(self.keys), options.pop("signed_as", NAME), now=lambda: self.now, warn=self.warnings.append, **options
        )
        check = check_with({0: 9.0} if broken else None)
        return pull(LayoutRegistry(Path(reference.place)), reference, ONE, self.store, check=check, trust=trust)

    @property
    def current(self) -> Optional[str]:
        state = self.store.state()
        found = state.find(state.current)
        return None if found is None else found.version


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def device(tmp_path: Path, publisher: Publisher) -> Device:
    return Device(tmp_path, [publisher.signer.key])


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


def test_a_channel_without_a_record_is_refused_though_its_release_is_signed(
    publisher: Publisher, device: Device
) -> None:
    publisher.release("1.0.0")
    publisher.move_plain_tag("stable", "1.0.0")
    with pytest.raises(NotSigned, match="no signed record of the channel 'stable'"):
        device.pull(publisher.named("stable"))


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


def test_another_key_is_refused(publisher: Publisher, device: Device) -> None:
    publisher.signer = signer("mallory")
    digest = publisher.release("1.0.0")
    publisher.channel(1, digest)
    for name in ("1.0.0", "stable"):
        with pytest.raises(NotSigned, match="None of the trusted keys"):
            device.pull(publisher.named(name))


def test_a_key_introduced_beside_the_old_one_is_accepted_and_so_is_the_old_one(
    publisher: Publisher, device: Device
) -> None:
    device.keys.append(signer("next").key)
    publisher.channel(1, publisher.release("1.0.0"))
    assert device.pull(publisher.named("stable")).release.version == "1.0.0"
    publisher.signer = signer("next")
    publisher.channel(2, publisher.release("1.1.0"))
    assert device.pull(publisher.named("stable")).release.version == "1.1.0"
    # The old key is retired on the device: what only it signed is refused from then on.
    device.keys.pop(0)
    with pytest.raises(NotSigned):
        device.pull(publisher.named("1.0.0"))
    assert device.pull(publisher.named("stable")).release.version == "1.1.0"


def test_a_channel_that_is_rolled_back_is_refused_and_the_release_in_use_stays(
    publisher: Publisher, device: Device
) -> None:
    old = publisher.channel(1, publisher.release("1.0.0"))
    publisher.channel(2, publisher.release("1.1.0"))
    device.pull(publisher.named("stable"))
    publisher.put(channel_tag("stable"), old)
    with pytest.raises(RolledBack, match="serial 1; this device has seen 2"):
        device.pull(publisher.named("stable"))
    assert device.current == "1.1.0"


def test_a_wanted_roll_back_is_a_higher_serial(publisher: Publisher, device: Device) -> None:
    first, second = publisher.release("1.0.0"), publisher.release("1.1.0")
    publisher.channel(1, second)
    device.pull(publisher.named("stable"))
    publisher.channel(2, first)
    assert device.pull(publisher.named("stable")).current and device.current == "1.0.0"


def test_an_equal_serial_is_fine_with_the_same_digest_and_refused_with_another(
    publisher: Publisher, device: Device
) -> None:
    first, second = publisher.release("1.0.0"), publisher.release("1.1.0")
    publisher.channel(3, first)
    device.pull(publisher.named("stable"))
    assert not device.pull(publisher.named("stable")).switched
    publisher.channel(3, second)
    with pytest.raises(RolledBack, match=r"two records .* serial 3"):
        device.pull(publisher.named("stable"))
    assert device.current == "1.0.0"


def test_serials_of_two_channels_do_not_disturb_each_other(publisher: Publisher, device: Device) -> None:
    digest = publisher.release("1.0.0")
    publisher.channel(9, digest, "latest")
    publisher.channel(1, digest, "stable")
    device.pull(publisher.named("latest"))
    device.pull(publisher.named("stable"))
    publisher.channel(8, digest, "latest")
    with pytest.raises(RolledBack, match="has seen 9"):
        device.pull(publisher.named("latest"))


def test_another_copy_of_the_repository_cannot_roll_the_channel_back(publisher: Publisher, tmp_path: Path) -> None:
    mirror, device = Publisher(tmp_path / "mirror"), Device(tmp_path, [publisher.signer.key])
    publisher.channel(5, publisher.release("1.1.0"))
    mirror.channel(4, mirror.release("1.0.0"))
    device.pull(publisher.named("stable"))
    with pytest.raises(RolledBack):
        device.pull(mirror.named("stable"))


def test_an_expired_record_is_refused_or_told_of_as_asked(publisher: Publisher, device: Device) -> None:
    publisher.channel(1, publisher.release("1.0.0"), expires=written_time(NOW + timedelta(days=30)))
    device.now = NOW + timedelta(days=30)
    device.pull(publisher.named("stable"))
    device.now += timedelta(seconds=1)
    with pytest.raises(RecordExpired, match="was good until 2026-07-01T00:00:00Z"):
        device.pull(publisher.named("stable"))
    assert device.warnings == []
    device.pull(publisher.named("stable"), expired="warn")
    assert len(device.warnings) == 1 and "was good until" in device.warnings[0]


def test_a_device_without_a_clock_warns_and_goes_on(publisher: Publisher, device: Device) -> None:
    publisher.channel(1, publisher.release("1.0.0"), expires=written_time(NOW))
    device.now = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    assert device.pull(publisher.named("stable")).current
    assert len(device.warnings) == 1 and "the clock says 1970-01-01" in device.warnings[0]


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


def test_a_stolen_registry_that_moves_the_tag_latest_changes_nothing(publisher: Publisher, device: Device) -> None:
    publisher.channel(1, publisher.release("1.0.0"), "latest")
    publisher.release("6.6.6", sign=False)
    assert layout.resolve(publisher.root, "latest")[0] == layout.resolve(publisher.root, "6.6.6")[0]
    assert device.pull(publisher.named("latest")).release.version == "1.0.0"


def test_the_record_of_one_channel_is_refused_for_another(publisher: Publisher, device: Device) -> None:
    envelope = publisher.channel(1, publisher.release("1.0.0"), "latest")
    publisher.put(channel_tag("stable"), envelope)
    with pytest.raises(WrongSubject, match="the channel 'latest'"):
        device.pull(publisher.named("stable"))


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


def test_a_crash_between_record_and_activation_is_harmless(publisher: Publisher, device: Device) -> None:
    publisher.channel(1, publisher.release("1.0.0"))
    device.pull(publisher.named("stable"))
    publisher.channel(2, publisher.release("1.1.0"))
    with pytest.raises(SelfTestFailed):
        device.pull(publisher.named("stable"), broken=True)
    assert json.loads((device.store.root / TRUST_FILE).read_bytes())["channels"]["centernet/stable"]["serial"] == 2
    assert device.current == "1.0.0"
    assert device.pull(publisher.named("stable")).switched and device.current == "1.1.0"


def test_a_record_is_remembered_before_its_release_is_looked_at(publisher: Publisher, device: Device) -> None:
    old = publisher.channel(1, publisher.release("1.0.0"))
    publisher.channel(2, publisher.release("1.1.0", sign=False))
    with pytest.raises(NotSigned):
        device.pull(publisher.named("stable"))
    publisher.put(channel_tag("stable"), old)
    with pytest.raises(RolledBack):
        device.pull(publisher.named("stable"))


def test_a_memory_that_cannot_be_written_stops_the_pull(
    publisher: Publisher, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.deploy import trust

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trust, "atomic_write", full)
    publisher.channel(1, publisher.release("1.0.0"))
    with pytest.raises(OSError, match="No space"):
        device.pull(publisher.named("stable"))
    assert device.current is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"schema_version":"2.0","channels":{}}', b'{"channels":{"a/b":{}}}'])
def test_a_damaged_memory_is_told_of_and_not_started_anew(publisher: Publisher, device: Device, data: bytes) -> None:
    publisher.channel(1, publisher.release("1.0.0"))
    device.store.root.mkdir()
    (device.store.root / TRUST_FILE).write_bytes(data)
    with pytest.raises(DeployError, match=r"trust\.json cannot be read"):
        device.pull(publisher.named("stable"))


def test_pruning_and_going_back_do_not_make_the_device_forget(publisher: Publisher, device: Device) -> None:
    old = publisher.channel(1, publisher.release("1.0.0"))
    device.pull(publisher.named("stable"))
    publisher.channel(2, publisher.release("1.1.0"))
    device.pull(publisher.named("stable"))
    rollback(device.store)
    prune(device.store)
    publisher.put(channel_tag("stable"), old)
    with pytest.raises(RolledBack):
        device.pull(publisher.named("stable"))


@pytest.mark.parametrize("serial", [0, -1, 2**53, True, "2", 1.5])
def test_a_serial_that_is_no_counting_number_is_refused(publisher: Publisher, device: Device, serial: object) -> None:
    from artifacts import media
    from artifacts.digest import canonical_json
    from artifacts.signing import sealed

    said = {"channel": "stable", "repository": NAME, "serial": serial, "digest": publisher.release("1.0.0")}
    publisher.put(channel_tag("stable"), sealed(media.CHANNEL_RECORD, canonical_json(said), [publisher.signer]))
    with pytest.raises(NotSigned, match="serial"):
        device.pull(publisher.named("stable"))


def test_a_date_that_does_not_exist_is_refused(publisher: Publisher, device: Device) -> None:
    publisher.channel(1, publisher.release("1.0.0"), expires="2026-02-31T00:00:00Z")
    with pytest.raises(SignatureError):
        device.pull(publisher.named("stable"))


def test_without_keys_the_release_is_taken_and_one_line_says_so(publisher: Publisher, device: Device) -> None:
    publisher.release("1.0.0", sign=False)
    device.keys.clear()
    assert device.pull(publisher.named("latest")).current
    assert len(device.warnings) == 1 and "not verified: no keys are pinned" in device.warnings[0]


def test_keys_are_looked_for_in_this_order(tmp_path: Path) -> None:
    keys = [public_key(bytes([number]) * 32) for number in range(3)]
    for number, one in enumerate(keys):
        (tmp_path / f"{number}.pub").write_text(public_pem(one))
    store = tmp_path / "store"
    assert pinned_keys(store, None, {}) == ()
    (store / "keys").mkdir(parents=True)
    (tmp_path / "2.pub").rename(store / "keys" / "2.pub")
    environment = {"CENTERNET_KEYS": str(tmp_path / "1.pub")}
    assert pinned_keys(store, None, {}) == (keys[2],)
    assert pinned_keys(store, None, environment) == (keys[1],)
    assert pinned_keys(store, tmp_path / "0.pub", environment) == (keys[0],)


@pytest.mark.parametrize("state", ["empty folder", "link to nowhere", "variable", "argument"])
def test_keys_that_cannot_be_read_are_never_taken_for_no_keys(tmp_path: Path, state: str) -> None:
    gone = tmp_path / "gone"
    if state == "empty folder":
        (tmp_path / "keys").mkdir()
    elif state == "link to nowhere":
        (tmp_path / "keys").symlink_to(gone)
    environment = {"CENTERNET_KEYS": str(gone)} if state == "variable" else {}
    with pytest.raises(BadKey):
        pinned_keys(tmp_path, gone if state == "argument" else None, environment)


def test_the_command_takes_the_pinned_keys_of_its_store(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CENTERNET_KEYS", raising=False)
    monkeypatch.setenv("CENTERNET_DEVICE_STORE", str(tmp_path / "device"))
    publisher.release("1.0.0", sign=False)
    wanted = ["--chip", "BM1684X", "--precision", "int8", "--no-activate", "--signed-as", NAME]
    assert main(["pull", str(publisher.named("1.0.0")), *wanted]) == 0
    assert capsys.readouterr().err.count("not verified") == 1
    (tmp_path / "device" / "keys").mkdir()
    (tmp_path / "device" / "keys" / "publisher.pub").write_text(public_pem(publisher.signer.key))
    assert main(["pull", str(publisher.named("1.0.0")), *wanted]) == 1
    assert "is not signed, and keys are pinned here" in capsys.readouterr().err
    publisher.channel(1, publisher.release("1.1.0"))
    assert main(["pull", str(publisher.named("stable")), *wanted]) == 0
    assert "not verified" not in capsys.readouterr().err
    (tmp_path / "other.pub").write_text(public_pem(signer("other").key))
    assert main(["pull", str(publisher.named("stable")), *wanted, "--keys", str(tmp_path / "other.pub")]) == 1
    publisher.channel(2, publisher.release("1.2.0"), expires="2026-01-02T00:00:00Z")
    assert main(["pull", str(publisher.named("stable")), *wanted]) == 1
    assert main(["pull", str(publisher.named("stable")), *wanted, "--expired", "warn"]) == 0
