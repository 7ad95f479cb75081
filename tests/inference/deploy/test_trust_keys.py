"""Whose signatures a device takes: where its keys come from, and how they are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.errors import BadKey, NotSigned
from artifacts.signing import public_key, public_pem
from inference.__main__ import main
from inference.deploy.trust import pinned_keys
from tests.artifacts.keys import signer
from tests.inference.deploy.trusting import NAME, Device, Publisher


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


def test_without_keys_the_release_is_taken_and_one_line_says_so(publisher: Publisher, device: Device) -> None:
    publisher.release("1.0.0", sign=False)
    device.keys.clear()
    assert device.pull(publisher.named("latest")).current
    assert len(device.warnings) == 1 and "not verified: no keys are pinned" in device.warnings[0]


@pytest.mark.parametrize("open_to_all", ["store", "store/keys", "store/keys/a.pub"])
def test_keys_that_everybody_may_write_are_refused(open_to_all: str, tmp_path: Path) -> None:
    (tmp_path / "store" / "keys").mkdir(parents=True)
    (tmp_path / "store" / "keys" / "a.pub").write_text(public_pem(signer("publisher").key))
    assert pinned_keys(tmp_path / "store", None, {}) == (signer("publisher").key,)
    path = tmp_path / open_to_all
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(BadKey, match=r"Everybody on this device may write .*chmod o-w"):
        pinned_keys(tmp_path / "store", None, {})
    path.chmod(path.stat().st_mode & ~0o002 | 0o020)  # a group of users is its owner's decision
    assert pinned_keys(tmp_path / "store", None, {}) == (signer("publisher").key,)


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
