"""Power cuts on the device: an ext4 on a loop device is cut off, mounted again and looked at."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.deploy.prune import rollback
from inference.deploy.store import DeviceStore
from tests.artifacts.disks import Disk, cuttable
from tests.artifacts.processes import killed_after
from tests.inference.deploy.support import publish, pulled
from tests.inference.deploy.test_survival import in_use, leftovers

CUTS = 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A mounted disk that can be cut off."""
    with cuttable(tmp_path) as found:
        yield found


def test_a_disk_that_is_cut_off_loses_what_was_not_synced(disk: Disk) -> None:
    (disk.mounted / "not synced").write_bytes(b"lost")
    disk.cut()
    assert not (disk.mounted / "not synced").exists() or (disk.mounted / "not synced").read_bytes() != b"lost"


def test_a_release_that_was_reported_as_in_use_is_there_after_a_power_cut(disk: Disk, tmp_path: Path) -> None:
    activations_cut_off(disk, tmp_path, CUTS)


def test_a_power_cut_in_the_middle_leaves_the_old_release_or_the_new_one(disk: Disk, tmp_path: Path) -> None:
    activations_cut_short(disk, tmp_path, CUTS)


def activations_cut_off(disk: Disk, folder: Path, cuts: int) -> None:
    """Cut the power as soon as a pull has reported its release as in use."""
    store = DeviceStore(disk.mounted / "device")
    versions = [f"1.0.{number}" for number in range(cuts)]
    for before, version in zip([None, *versions], versions):
        pulled(publish(folder, version, padding=200_000), store)
        disk.cut()
        expected = {"current": version} if before is None else {"current": version, "previous": before}
        assert in_use(store) == expected
        assert store.content.verify_all() == []


def activations_cut_short(disk: Disk, folder: Path, cuts: int) -> None:
    """Cut the power while a release is pulled, put to use and taken back."""
    store, chance = DeviceStore(disk.mounted / "device"), random.Random(3)
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(folder, version), store)
    for number in range(cuts):
        before = in_use(store)
        wanted = publish(folder, f"2.0.{number}", padding=400_000)

        def update(wanted: object = wanted) -> None:
            pulled(wanted, store)  # type: ignore[arg-type]
            rollback(store)

        killed_after(chance.uniform(0.0, 0.12), update)
        disk.cut()
        store.tidy()
        now = in_use(store)
        assert now["current"] in (before["current"], wanted.name) and "previous" in now
        assert leftovers(store) == []
        assert store.content.verify_all() == []
        pulled(wanted, store)
