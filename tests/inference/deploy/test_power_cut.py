"""Power cuts: an ext4 on a loop device is shut down without its journal being flushed, mounted again and looked at.

The ioctl is EXT4_IOC_SHUTDOWN of the kernel's fs/ext4/ext4.h with EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is
lost, as when the plug is pulled.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.deploy.prune import rollback
from inference.deploy.store import DeviceStore
from tests.artifacts.processes import killed_after
from tests.inference.deploy.support import publish, pulled
from tests.inference.deploy.test_survival import in_use, leftovers

SHUTDOWN, WITHOUT_JOURNAL = 0x8004587D, 2
CUTS = 20


class Disk:
    """An ext4 in a file."""

    def __init__(self, folder: Path) -> None:
        self.image, self.mounted = folder / "disk.img", folder / "disk"
        self.mounted.mkdir()

    def make(self) -> None:
        with self.image.open("wb") as stream:
            stream.truncate(48 << 20)
        _run("mkfs.ext4", "-q", "-F", str(self.image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.mounted))

    def cut(self) -> None:
        """Lose what was not synced, and mount what is left."""
        descriptor = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_JOURNAL))
        finally:
            os.close(descriptor)
        self.unmount()
        self.mount()

    def unmount(self) -> None:
        _run("umount", str(self.mounted))


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A mounted disk that can be cut off."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk of its own needs root and mkfs.ext4")
    found = Disk(tmp_path)
    try:
        found.make()
        found.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop device can be mounted here: {error}")
    try:
        try:
            (found.mounted / "probe").write_bytes(b"probe")
            found.cut()
        except OSError as error:
            pytest.skip(f"this kernel cannot shut a file system down: {error}")
        yield found
    finally:
        found.unmount()


def test_a_disk_that_is_cut_off_loses_what_was_not_synced(disk: Disk) -> None:
    (disk.mounted / "not synced").write_bytes(b"lost")
    disk.cut()
    assert not (disk.mounted / "not synced").exists() or (disk.mounted / "not synced").read_bytes() != b"lost"


def test_a_release_that_was_reported_as_in_use_is_there_after_a_power_cut(disk: Disk, tmp_path: Path) -> None:
    store = DeviceStore(disk.mounted / "device")
    versions = [f"1.0.{number}" for number in range(CUTS)]
    for before, version in zip([None, *versions], versions):
        pulled(publish(tmp_path, version, padding=200_000), store)
        disk.cut()
        expected = {"current": version} if before is None else {"current": version, "previous": before}
        assert in_use(store) == expected
        assert store.content.verify_all() == []


def test_a_power_cut_in_the_middle_leaves_the_old_release_or_the_new_one(disk: Disk, tmp_path: Path) -> None:
    store, chance = DeviceStore(disk.mounted / "device"), random.Random(3)
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    for number in range(CUTS):
        before = in_use(store)
        wanted = publish(tmp_path, f"2.0.{number}", padding=400_000)

        def update(wanted: object = wanted) -> None:
            pulled(wanted, store)  # type: ignore[arg-type]
            rollback(store)

        killed_after(chance.uniform(0.0, 0.12), update)
        disk.cut()
        store.tidy()
        now = in_use(store)
        assert now["current"] in (before["current"], wanted.name) and "previous" in now
        assert leftovers(store) == []
        pulled(wanted, store)
