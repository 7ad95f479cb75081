"""Going back, and collecting what nothing leads to."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Tuple

import pytest

from artifacts.digest import digest_bytes
from artifacts.errors import DamagedBlob
from inference.deploy.prune import prune, rollback
from inference.deploy.store import DeviceStore
from inference.errors import DeployError, NothingPulled
from inference.model import find_model
from tests.artifacts.processes import killed_after, living
from tests.artifacts.releases import SHARED, model_bytes
from tests.inference.deploy.support import INT8, publish, pulled


@pytest.fixture
def store(tmp_path: Path) -> DeviceStore:
    return DeviceStore(tmp_path / "device")


def versions(store: DeviceStore) -> Tuple[str, str]:
    """The versions that `current` and `previous` lead to."""
    return tuple(find_model(store.root / link).release.version for link in ("current", "previous"))  # type: ignore[return-value]


def test_a_rollback_swaps_the_two_and_a_second_one_swaps_them_back(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    shutil.rmtree(tmp_path / "registry")
    assert rollback(store).version == "1.0.0"
    assert versions(store) == ("1.0.0", "1.1.0")
    assert rollback(store).version == "1.1.0"
    assert versions(store) == ("1.1.0", "1.0.0")


def test_without_a_release_before_there_is_no_way_back(tmp_path: Path, store: DeviceStore) -> None:
    with pytest.raises(NothingPulled, match="no release before"):
        rollback(store)
    pulled(publish(tmp_path), store)
    with pytest.raises(NothingPulled, match="no release before"):
        rollback(store)
    assert find_model(store.root / "current").release.version == "1.0.0"


def test_a_way_back_to_a_damaged_model_is_not_taken(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    damaged = find_model(store.root / "previous").path
    damaged.unlink()
    damaged.write_bytes(b"cut")
    with pytest.raises(DeployError, match="no longer the file that was pulled"):
        rollback(store)
    assert find_model(store.root / "current").release.version == "1.1.0"


def test_a_way_back_whose_folder_is_gone_is_not_taken(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    shutil.rmtree(str((store.root / "previous").resolve()))
    with pytest.raises(NothingPulled):
        rollback(store)
    assert find_model(store.root / "current").release.version == "1.1.0"


def test_a_rollback_does_not_wait_for_a_pull(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    with store.pulling(0.0):
        assert rollback(store).version == "1.0.0"


def test_what_neither_link_leads_to_is_removed_and_nothing_else(tmp_path: Path, store: DeviceStore) -> None:
    folders = [pulled(publish(tmp_path, version), store).folder for version in ("1.0.0", "1.1.0", "1.2.0")]
    gone = prune(store)
    assert gone.releases == [folders[0].name]
    assert [folder.is_dir() for folder in folders] == [False, True, True]
    there = {"sha256:" + path.name for path in (store.root / "blobs/sha256").iterdir()}
    assert digest_bytes(model_bytes(INT8, "1.0.0")) not in there
    assert {digest_bytes(data) for data in SHARED.values()} <= there
    assert gone.blobs == 2 and gone.freed > len(model_bytes(INT8, "1.0.0"))
    assert [one.version for one in store.state().releases] == ["1.1.0", "1.2.0"]
    assert rollback(store).version == "1.1.0" and store.content.verify_all() == []
    assert prune(store).releases == []


def test_a_release_that_was_only_fetched_is_collected_too(tmp_path: Path, store: DeviceStore) -> None:
    pulled(publish(tmp_path), store)
    fetched = pulled(publish(tmp_path, "1.1.0"), store, activate=False)
    assert prune(store).releases == [fetched.folder.name]
    assert find_model(store.root / "current").release.version == "1.0.0"


def test_damaged_bytes_that_were_set_aside_are_collected(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    done = pulled(reference, store)
    blob = done.release.files[INT8.path]
    path = store.content.path(blob)
    path.chmod(0o644)
    path.write_bytes(b"x" * blob.size)
    with pytest.raises(DamagedBlob):
        store.content.verified(blob)
    pulled(reference, store)
    assert len(list((store.root / "quarantine").iterdir())) == 1
    assert prune(store).blobs == 1
    assert list((store.root / "quarantine").iterdir()) == []
    assert find_model(store.root / "current").release.version == "1.0.0"


def test_what_came_of_an_unfinished_fetch_is_collected_too(tmp_path: Path, store: DeviceStore) -> None:
    pulled(publish(tmp_path), store)
    store.content.incoming.mkdir()
    (store.content.incoming / f"{'0' * 64}.part").write_bytes(b"half")
    assert prune(store) == ([], 1, 4)
    assert list(store.content.incoming.iterdir()) == []


def test_nothing_is_collected_while_a_pull_is_at_work(
    tmp_path: Path, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.deploy.prune._BUSY_S", 0.05)
    pulled(publish(tmp_path), store)
    fetched = pulled(publish(tmp_path, "1.1.0"), store, activate=False)

    def pull(ready: object) -> None:
        with store.pulling(0.0):
            ready()  # type: ignore[operator]
            threading.Event().wait()

    with living(pull), pytest.raises(DeployError, match="another pull is at work"):
        prune(store)
    assert fetched.folder.is_dir()
    assert prune(store).releases == [fetched.folder.name]  # a killed pull holds nothing


def test_without_its_state_the_store_keeps_what_the_links_lead_to(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        pulled(publish(tmp_path, version), store)
    (store.root / "state.json").unlink()
    assert len(prune(store).releases) == 1
    assert versions(store) == ("1.2.0", "1.1.0")
    assert pulled(publish(tmp_path, "1.2.0"), store).fetched == 0


def test_a_killed_collection_leaves_whole_releases_only(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008):
        pulled(publish(tmp_path, "1.2.0"), store, activate=False)
        killed_after(delay, lambda: prune(store))
        assert versions(store) == ("1.1.0", "1.0.0")
        for folder in (store.root / "releases").iterdir():
            find_model(folder)
    prune(store)
    assert len(list((store.root / "releases").iterdir())) == 2
    assert list((store.root / "staging").iterdir()) == []
