"""Which records of a channel a device follows, and which it refuses: one test a rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.errors import NotSigned, RecordExpired, RolledBack, SignatureError, WrongSubject
from artifacts.layout_tags import channel_tag
from artifacts.statements import written_time
from tests.inference.deploy.trusting import NAME, NOW, UTC, Device, Publisher


def test_a_channel_without_a_record_is_refused_though_its_release_is_signed(
    publisher: Publisher, device: Device
) -> None:
    publisher.release("1.0.0")
    publisher.move_plain_tag("stable", "1.0.0")
    with pytest.raises(NotSigned, match="no signed record of the channel 'stable'"):
        device.pull(publisher.named("stable"))


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
