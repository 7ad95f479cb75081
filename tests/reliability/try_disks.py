"""Disks that are full, read-only, too small or broken

A place is a call that writes together with the last three functions of ours that led to it. Each place of a build finds
the disk full (or over quota), or read-only, once, and so does whatever writes after it; then there is space again, and
the next build goes on. *Nothing lost* means: a paragraph that says what is wrong and what to do and exit status 1, no
traceback; every blob of the store and the registry hashes to its name and every tag leads to a whole release; and in
the end the release has the digest that an undisturbed build gives. The first two rows refuse the calls of the build's
own process (by replacing them); the rows of small disks are real file systems that grow until everything fits, which
the compiler's processes and native code meet as well.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.disks import cuttable
from tests.flows.conftest import runner
from tests.flows.tiny import TinyBuild
from tests.flows.troubled import (
    build_on_a_dying_disk,
    builder,
    built_in_trouble,
    built_while_it_grows,
    tiny_disk,
)
from tests.inference.deploy.troubled import pulls_in_trouble
from tests.reliability.trials import Trials

DEATHS = 10

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def expected(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The digest that an undisturbed build gives."""
    build = TinyBuild(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        assert runner(build, patch)() == 0
    yield build.digest


@pytest.mark.parametrize(
    ("what", "numbers"),
    [
        ("full or over quota, in turn (ENOSPC, EDQUOT)", (errno.ENOSPC, errno.EDQUOT)),
        ("read-only (EROFS)", (errno.EROFS,)),
    ],
)
def try_each_place_of_a_build(
    trials: Trials, tmp_path: Path, capsys: Capture, monkeypatch: Patch, expected: str, what: str, numbers: tuple[int]
) -> None:
    build = TinyBuild(tmp_path)
    story = built_in_trouble(build, builder(build, monkeypatch, capsys), numbers)
    assert build.digest == expected
    survived = f"; {len(story.survived)} were got over" if story.survived else ""
    trials.tried(
        f"each place of a build finds the disk {what}",
        len(story.failed) + len(story.survived),
        note=f"{len(story.failed)} builds ended with one paragraph{survived}",
    )


@pytest.mark.parametrize(
    ("what", "begin", "step"), [("bytes", {"size": 1 << 21}, 1 << 18), ("files", {"nr_inodes": 120}, 10)]
)
def try_a_disk_that_grows(
    trials: Trials,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: Patch,
    expected: str,
    what: str,
    begin: dict[str, int],
    step: int,
) -> None:
    (option, size), used = *begin.items(), tmp_path / "small"
    with tiny_disk(used, **begin) as mount:

        def grow() -> None:
            nonlocal size
            size += step
            mount(**{option: size})

        (used / "build").mkdir()
        build = TinyBuild(used / "build")
        failed = built_while_it_grows(build, builder(build, monkeypatch, capsys), grow)
        assert build.digest == expected
    trials.tried(
        f"a build on a file system with too few {what}, which grows after each failure",
        failed,
        note=f"tmpfs, from {begin[option]:,} {what} by {step:,}; everything fitted into {size:,}",
    )


def try_a_disk_that_dies_under_a_build(trials: Trials, tmp_path: Path, expected: str) -> None:
    chance, said = random.Random(11), []
    with cuttable(tmp_path, 1 << 30) as disk:
        (disk.mounted / "build").mkdir()
        build = TinyBuild(disk.mounted / "build")
        os.sync()
        while len(said) < DEATHS:
            text = build_on_a_dying_disk(disk, build, chance)
            if text is None:
                shutil.rmtree(build.workspace.store)
            else:
                said.append(text)
        process = build.start()
        told = process.communicate()
        assert process.returncode == 0, told
        assert build.digest == expected
    trials.tried("the disk is taken away under a build, which is left alone with that", DEATHS, note="ext4, seed 11")


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "EIO"])
def try_each_place_of_a_pull(trials: Trials, tmp_path: Path, name: str) -> None:
    places = pulls_in_trouble(tmp_path, getattr(errno, name))
    note = "a store error each time; the release in use stayed, or the new one was; the next pull went on"
    trials.tried(f"each place of a pull, its activation and a rollback finds {name}", places, note=note)
