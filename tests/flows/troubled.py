"""Tiny builds on a disk that refuses to be written."""

from __future__ import annotations

import random
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from artifacts import layout
from artifacts.store import ContentStore
from inference.model import find_model
from tests.artifacts.disks import Disk
from tests.artifacts.failing import Place, disk_in_trouble
from tests.flows.conftest import runner
from tests.flows.tiny import TinyBuild

UNFORESEEN = "does not foresee"
FAILED = "The build failed. "

Builder = Callable[[], tuple[int, str]]


@dataclass
class Story:
    """What a number of builds in trouble said.

    Attributes:
        failed: For each place that ended a build, what was said.
        survived: Places over which a build went on to its end.
    """

    failed: dict[Place, str] = field(default_factory=dict)
    survived: list[Place] = field(default_factory=list)


def builder(build: TinyBuild, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> Builder:
    """Return what builds in this process; no space is asked for before, and what is said is returned."""
    patch.setattr("flows.preflight.needed_bytes", lambda settings: 0)
    run = runner(build, patch)

    def built() -> tuple[int, str]:
        captured.readouterr()
        status = run()
        return status, captured.readouterr().err

    return built


def one_in(number: int) -> Callable[[Place], bool]:
    """Return a choice of places, the same each time."""
    return lambda place: zlib.crc32(" ".join(place).encode()) % number == 0


def built_in_trouble(
    build: TinyBuild, run: Builder, numbers: Sequence[int], only: Callable[[Place], bool] = lambda place: True
) -> Story:
    """Build until no place is left that was not refused once; each build goes on where the one before failed.

    Args:
        build: What is built.
        run: Builds it.
        numbers: What the system says, in turn: ENOSPC, EDQUOT, EROFS.
        only: Which places count.
    """
    tried: set[Place] = set()
    story = Story()
    for number in cycle(numbers):
        with disk_in_trouble(build.folder, number, tried, only) as trouble:
            status, said = run()
        sound(build)
        if trouble.place is None:
            assert status == 0, said
            break
        if status == 0:
            story.survived.append(trouble.place)
        else:
            clear(status, said, trouble.place)
            story.failed[trouble.place] = said
    return story


def built_while_it_grows(build: TinyBuild, run: Builder, grow: Callable[[], None]) -> int:
    """Build on a disk that is too small, and make it larger whenever the build fails.

    Returns:
        How many builds failed.
    """
    failed = 0
    while True:
        status, said = run()
        sound(build)
        if status == 0:
            return failed
        clear(status, said, "a full disk")
        failed += 1
        grow()


def build_on_a_dying_disk(disk: Disk, build: TinyBuild, chance: random.Random) -> str | None:
    """Take the disk away under a build, which is left alone with that.

    Returns:
        What the build said; None where it had ended before.
    """
    process = build.start(PREFECT_API_URL=PREFECT_API_URL.value())
    try:
        process.communicate(timeout=chance.uniform(2.0, 12.0))
    except subprocess.TimeoutExpired:
        disk.switch_off()
        said = process.communicate(timeout=120)[1]
        disk.switch_on()
        clear(process.returncode, said, "a dying disk")
        sound(build)
        return said
    return None


def clear(status: int, said: str, when: object) -> None:
    """Make sure that a build failed, and said why."""
    assert status == 1 and FAILED in said and UNFORESEEN not in said, (when, status, said)


def sound(build: TinyBuild) -> None:
    """Look through what a build leaves: nothing half-written has a final name."""
    for root in (Path(build.workspace.store), build.folder / "registry"):
        assert ContentStore(root).verify_all() == []
    if (build.folder / "registry" / "oci-layout").is_file():
        assert layout.check(build.folder / "registry") == []
    if (build.folder / "release").is_dir():
        assert find_model(build.folder / "release") is not None


@contextmanager
def tiny_disk(folder: Path, **options: int) -> Iterator[Callable[..., None]]:
    """Mount a file system of a few bytes or files; skips where that cannot be done.

    Args:
        folder: Where; made.
        options: `size`, bytes, and `nr_inodes`.

    Yields:
        What gives it other options.
    """
    folder.mkdir()

    def mount(*more: str, **asked: int) -> int:
        said = ",".join([*more, *(f"{name}={value}" for name, value in asked.items())])
        command = ["mount", "-t", "tmpfs", "-o", said, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if mount(**options) != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    try:
        yield lambda **asked: [None, mount("remount", **asked)][0]
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
