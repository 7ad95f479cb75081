"""File systems for tests that cut the power, fill them or take away the right to write."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest

# EXT4_IOC_SHUTDOWN of the kernel's fs/ext4/ext4.h, and its flags EXT4_GOING_FLAGS_LOGFLUSH and _NOLOGFLUSH.
SHUTDOWN, WITH_JOURNAL, WITHOUT_JOURNAL = 0x8004587D, 1, 2
BUSY_S = 30.0


class Disk:
    """An ext4 in a file, which can be cut off: what was not synced is lost then, as when the plug is pulled."""

    def __init__(self, folder: Path, size: int = 48 << 20) -> None:
        self.image, self.mounted = folder / "disk.img", folder / "disk"
        self._size = size
        self.mounted.mkdir()

    def make(self) -> None:
        with self.image.open("wb") as stream:
            stream.truncate(self._size)
        _run("mkfs.ext4", "-q", "-F", str(self.image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.mounted))

    def cut(self, *, journal: bool = False) -> None:
        """Lose what was not synced, and mount what is left.

        Args:
            journal: Whether the journal was written just before, as it is every few seconds and whenever anybody syncs
                anything: all names are then as they were, and data that was not synced is still lost.
        """
        self.switch_off(journal=journal)
        self.switch_on()

    def switch_off(self, *, journal: bool = False) -> None:
        """Lose what was not synced; whoever still works there gets errors from now on. As `cut`."""
        descriptor = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITH_JOURNAL if journal else WITHOUT_JOURNAL))
        finally:
            os.close(descriptor)

    def switch_on(self) -> None:
        """Mount what is left, once nobody uses it any more."""
        self.unmount()
        self.mount()

    def unmount(self) -> None:
        deadline = time.monotonic() + BUSY_S
        while subprocess.run(["umount", str(self.mounted)], capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < deadline, "something still uses the disk"
            time.sleep(0.05)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


@contextmanager
def cuttable(folder: Path, size: int = 48 << 20) -> Iterator[Disk]:
    """A mounted disk that can be cut off; the test is skipped where there can be none."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk of its own needs root and mkfs.ext4")
    found = Disk(folder, size)
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
