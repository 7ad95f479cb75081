"""From what a user names to a release on this machine, and where the store lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.deploy import local_release
from inference.deploy.places import reading_root, store_root
from inference.deploy.prune import rollback
from inference.deploy.store import DeviceStore
from inference.errors import NothingPulled
from tests.inference.deploy.support import publish, pulled


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceStore:
    monkeypatch.setenv("CENTERNET_DEVICE_STORE", str(tmp_path / "device"))
    return DeviceStore(tmp_path / "device")


def test_nothing_named_is_the_current_release(tmp_path: Path, store: DeviceStore) -> None:
    first, second = (pulled(publish(tmp_path, version), store) for version in ("1.0.0", "1.1.0"))
    assert local_release() == second.folder
    rollback(store)
    assert local_release(None) == first.folder
    assert local_release(None, store=tmp_path / "device") == first.folder


def test_nothing_named_and_nothing_pulled_says_how_to_pull(store: DeviceStore) -> None:
    with pytest.raises(NothingPulled, match="python -m inference pull"):
        local_release()


def test_a_reference_is_what_was_pulled_by_it(
    tmp_path: Path, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = [publish(tmp_path, version) for version in ("1.0.0", "1.1.0")]
    first, second = (pulled(reference, store) for reference in references)
    assert local_release(str(references[0])) == first.folder
    assert local_release(f"oci:{tmp_path}/registry@{second.release.digest}") == second.folder
    monkeypatch.chdir(tmp_path)
    assert local_release("oci:registry:1.0.0") == first.folder


def test_of_several_choices_from_one_release_the_current_one_is_meant(tmp_path: Path, store: DeviceStore) -> None:
    from inference.wish import Wish

    reference = publish(tmp_path)
    first = pulled(reference, store)
    pulled(reference, store, Wish(chip="BM1684X", precision="fp16"), activate=False)
    assert local_release(str(reference)) == first.folder


def test_a_reference_that_was_not_pulled_says_how_to_pull_it(tmp_path: Path, store: DeviceStore) -> None:
    pulled(publish(tmp_path), store)
    with pytest.raises(NothingPulled, match=r"pull localhost:5000/models/centernet:stable"):
        local_release("localhost:5000/models/centernet:stable")


@pytest.mark.parametrize("text", ["build/release", "BM1688/centernet_fp32_1b.bmodel", "nothing here"])
def test_a_path_is_given_back(text: str, store: DeviceStore) -> None:
    assert local_release(text) == Path(text)


def test_the_store_is_the_named_one_then_the_machines_then_the_users(tmp_path: Path) -> None:
    system, data = tmp_path / "var" / "centernet", tmp_path / "data"
    environment = {"XDG_DATA_HOME": str(data)}
    given, named = tmp_path / "given", tmp_path / "named"
    assert store_root(given, {"CENTERNET_DEVICE_STORE": str(named)}, system=system) == given
    assert store_root(None, {"CENTERNET_DEVICE_STORE": str(named)}, system=system) == named
    assert store_root(None, environment, system=system) == data / "centernet-sophon"
    assert store_root(None, {"XDG_DATA_HOME": "relative"}, system=system) == (
        Path.home() / ".local/share/centernet-sophon"
    )
    system.parent.mkdir()
    assert store_root(None, environment, system=system) == system


def test_a_user_without_releases_runs_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, data = tmp_path / "machine", tmp_path / "data"
    environment = {"XDG_DATA_HOME": str(data)}
    monkeypatch.setattr("inference.deploy.places._writable", lambda folder: False)
    assert reading_root(None, environment, system=system) == data / "centernet-sophon"
    pulled(publish(tmp_path), DeviceStore(system))
    assert reading_root(None, environment, system=system) == system
    assert store_root(None, environment, system=system) == data / "centernet-sophon"
    pulled(publish(tmp_path), DeviceStore(data / "centernet-sophon"))
    assert reading_root(None, environment, system=system) == data / "centernet-sophon"
