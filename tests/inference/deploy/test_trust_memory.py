"""What a device remembers of the records that it has seen, whatever happens in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.errors import NotSigned, RolledBack
from artifacts.layout_tags import channel_tag
from inference.deploy.prune import prune, rollback
from inference.deploy.trust import TRUST_FILE
from inference.errors import DeployError, SelfTestFailed
from tests.inference.deploy.trusting import Device, Publisher


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
