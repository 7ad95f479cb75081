"""Signing releases and moving channels, in a layout and on a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from artifacts import layout
from artifacts.attachments import LayoutPlace, Place, ServerPlace, read_envelope
from artifacts.errors import GateNotPassed, LayoutError, NotSigned, WrongSubject
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.reference import parse_reference
from artifacts.release import GateOutcome
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import push
from artifacts.signing import PublicKey, Signer
from artifacts.statements import ChannelRecord, read_channel, read_statement, signed
from tasks.signing import Promoted, promote, sign_release, subject_at
from tests.artifacts.keys import signer
from tests.artifacts.releases import release
from tests.artifacts.remote.liar import REPOSITORY, Liar

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def alice() -> Signer:
    return signer("alice")


@pytest.fixture
def here(tmp_path: Path, alice: Signer) -> LayoutPlace:
    """A layout with two signed releases."""
    place = LayoutPlace(tmp_path / "registry")
    for version in ("1.0.0", "1.1.0"):
        record, files = release(tmp_path / "built", version)
        layout.publish(tmp_path / "registry", record, files, [version])
        sign_release(place, subject_at(place.registry, version), [alice])
    return place


@pytest.fixture
def there(tmp_path: Path, here: LayoutPlace, alice: Signer) -> Iterator[ServerPlace]:
    """A server with the same releases."""
    with Liar() as liar, RemoteRegistry(liar.place, REPOSITORY, access=Access(), actions="pull,push") as remote:
        place = ServerPlace(remote)
        for version in ("1.0.0", "1.1.0"):
            target = parse_reference(f"{liar.place}/{REPOSITORY}:{version}")
            push(tmp_path / "registry", version, target, access=Access())
            sign_release(place, subject_at(remote, version), [alice])
        yield place


def moved(places: Sequence[Place], version: str, who: Sequence[Signer], **options: Any) -> Promoted:
    return promote(places, version, "stable", signers=who, now=NOW, **options)


def record_at(place: Place, keys: Sequence[PublicKey]) -> ChannelRecord:
    envelope = read_envelope(place.registry, channel_tag("stable"))
    assert envelope is not None
    return read_channel(envelope, keys)


@pytest.mark.parametrize("where", ["here", "there"])
def test_the_serial_grows_with_every_move_also_backwards(
    where: str, alice: Signer, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(where)
    for serial, version in enumerate(["1.0.0", "1.1.0", "1.0.0"], 1):
        done = moved([place], version, [alice])
        record = record_at(place, [alice.key])
        assert (done.serial, done.changed, record.serial) == (serial, True, serial)
        assert record.digest == done.subject.digest == place.registry.resolve(version)[0]
        assert (record.repository, record.channel, record.expires) == ("centernet", "stable", None)
        assert place.registry.resolve("stable")[0] == record.digest


def test_a_second_identical_move_keeps_the_record(here: LayoutPlace, alice: Signer) -> None:
    moved([here], "1.0.0", [alice])
    before = here.registry.resolve("channel-stable")
    assert moved([here], "1.0.0", [alice])[1:] == (1, False)
    assert here.registry.resolve("channel-stable") == before


def test_a_record_with_a_date_is_renewed_by_every_move(here: LayoutPlace, alice: Signer) -> None:
    moved([here], "1.0.0", [alice], valid=timedelta(days=30))
    assert record_at(here, [alice.key]).expires == "2026-07-01T00:00:00Z"
    assert moved([here], "1.0.0", [alice], valid=timedelta(days=60)).serial == 2
    assert record_at(here, [alice.key]).expires == "2026-07-31T00:00:00Z"
    assert moved([here], "1.0.0", [alice]).serial == 3 and record_at(here, [alice.key]).expires is None


def test_a_release_that_did_not_pass_its_gate_is_not_promoted(here: LayoutPlace, alice: Signer, tmp_path: Path) -> None:
    record, files = release(tmp_path / "built", "2.0.0")
    last = record.variants[-1].model_copy(update={"gate": GateOutcome(passed=False, reasons=("AP",))})
    record = record.model_copy(update={"variants": (*record.variants[:-1], last)})
    layout.publish(tmp_path / "registry", record, files, ["2.0.0"])
    sign_release(here, subject_at(here.registry, "2.0.0"), [alice])
    for who in ([alice], []):
        with pytest.raises(GateNotPassed):
            moved([here], "2.0.0", who)
    assert read_envelope(here.registry, channel_tag("stable")) is None and "stable" not in here.registry.tags()


def test_a_release_that_nobody_signed_is_not_vouched_for(here: LayoutPlace, alice: Signer, tmp_path: Path) -> None:
    record, files = release(tmp_path / "built", "2.0.0")
    digest = layout.publish(tmp_path / "registry", record, files, ["2.0.0"]).digest
    with pytest.raises(NotSigned, match=r"flows\.sign release"):
        moved([here], "2.0.0", [alice])
    # Nor one with the signature of another, or of somebody else.
    other = read_envelope(here.registry, signature_tag(here.registry.resolve("1.0.0")[0]))
    assert other is not None
    here.write(signature_tag(digest), other)
    with pytest.raises(WrongSubject):
        moved([here], "2.0.0", [alice])
    sign_release(here, subject_at(here.registry, "2.0.0"), [signer("mallory")])
    with pytest.raises(NotSigned, match="None of the trusted keys"):
        moved([here], "2.0.0", [alice])
    assert "stable" not in here.registry.tags()


def test_without_a_key_only_a_channel_without_a_record_moves(here: LayoutPlace, alice: Signer) -> None:
    assert moved([here], "1.0.0", [])[1:] == (None, False)
    assert here.registry.resolve("stable")[0] == here.registry.resolve("1.0.0")[0]
    moved([here], "1.0.0", [alice])
    with pytest.raises(NotSigned, match="no key was given"):
        moved([here], "1.1.0", [])
    with pytest.raises(NotSigned, match="no key was given"):
        moved([here], "1.1.0", [], at_least=9)
    assert here.registry.resolve("stable")[0] == here.registry.resolve("1.0.0")[0]


def test_a_record_that_cannot_be_believed_is_only_replaced_when_told(here: LayoutPlace, alice: Signer) -> None:
    moved([here], "1.0.0", [signer("mallory")], trusted=[alice.key])
    with pytest.raises(NotSigned, match="--serial"):
        moved([here], "1.1.0", [alice])
    here.write(channel_tag("stable"), b"rubbish")
    with pytest.raises(NotSigned, match="--serial"):
        moved([here], "1.1.0", [alice])
    other = ChannelRecord(channel="latest", repository="centernet", serial=3, digest=here.registry.resolve("1.0.0")[0])
    here.write(channel_tag("stable"), signed(other, [alice]))
    with pytest.raises(WrongSubject, match="centernet/latest"):
        moved([here], "1.1.0", [alice])
    assert moved([here], "1.1.0", [alice], at_least=43).serial == 43
    assert moved([here], "1.1.0", [alice], at_least=43)[1:] == (43, False)
    assert moved([here], "1.0.0", [alice], at_least=7).serial == 44


def test_a_new_key_takes_over_with_the_old_one_believed(here: LayoutPlace, alice: Signer) -> None:
    bob = signer("bob")
    moved([here], "1.0.0", [alice])
    subject = subject_at(here.registry, "1.0.0")
    assert sign_release(here, subject, [bob]) and not sign_release(here, subject, [bob])
    envelope = read_envelope(here.registry, signature_tag(subject.digest))
    assert envelope is not None
    for who in (alice, bob):
        assert read_statement(envelope, [who.key]) == subject.statement
    # The same release, but a new record, as the old one has no signature of the new key.
    assert moved([here], "1.0.0", [alice, bob]).serial == 2
    assert record_at(here, [alice.key]) == record_at(here, [bob.key])
    assert moved([here], "1.1.0", [bob], trusted=[alice.key]).serial == 3
    with pytest.raises(NotSigned):
        record_at(here, [alice.key])


def test_two_places_get_one_record_with_the_larger_serial(here: LayoutPlace, there: ServerPlace, alice: Signer) -> None:
    for version in ("1.0.0", "1.1.0", "1.0.0"):
        moved([there], version, [alice])
    assert moved([here], "1.1.0", [alice]).serial == 1
    assert moved([there, here], "1.1.0", [alice])[1:] == (4, True)
    assert moved([there, here], "1.1.0", [alice])[1:] == (4, False)
    assert here.registry.resolve("channel-stable") == there.registry.resolve("channel-stable")


def test_a_place_that_is_behind_gets_the_record_that_is_there(
    here: LayoutPlace, there: ServerPlace, alice: Signer
) -> None:
    moved([here], "1.0.0", [alice])
    assert moved([there, here], "1.0.0", [alice])[1:] == (1, True)
    assert here.registry.resolve("channel-stable") == there.registry.resolve("channel-stable")


@pytest.mark.parametrize("first", ["here", "there"])
def test_two_places_that_went_apart_under_one_serial_get_a_new_one(
    here: LayoutPlace, there: ServerPlace, alice: Signer, first: str
) -> None:
    moved([here], "1.0.0", [alice])
    moved([there], "1.1.0", [alice])
    places: list[Place] = [here, there] if first == "here" else [there, here]
    # A device may have seen either.
    assert moved(places, "1.0.0", [alice])[1:] == (2, True)


def test_a_chips_manifest_is_not_signed(here: LayoutPlace) -> None:
    with pytest.raises(LayoutError, match="no whole release"):
        subject_at(here.registry, "1.0.0-bm1684x")


def test_a_spoiled_signature_is_replaced_by_signing_again(here: LayoutPlace, alice: Signer) -> None:
    subject = subject_at(here.registry, "1.0.0")
    tag = signature_tag(subject.digest)
    before = read_envelope(here.registry, tag)
    for rubbish in (b"rubbish", json.dumps({"payload": "", "payloadType": "x", "signatures": [{"sig": ""}]}).encode()):
        here.write(tag, rubbish)
        assert sign_release(here, subject, [alice])
        assert read_envelope(here.registry, tag) == before


def test_no_two_who_move_a_channel_at_once_give_the_same_serial(here: LayoutPlace, alice: Signer) -> None:
    start, serials = threading.Barrier(6), []

    def move(number: int) -> None:
        start.wait()
        # With a date, so that every one of them makes a record.
        serials.append(moved([here], f"1.{number % 2}.0", [alice], valid=timedelta(days=number + 1)).serial)

    threads = [threading.Thread(target=move, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(serials) == [1, 2, 3, 4, 5, 6] and record_at(here, [alice.key]).serial == 6
