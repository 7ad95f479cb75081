"""Whole builds on a disk that is cut off."""

from __future__ import annotations

import os
import random
import subprocess

from prefect.settings import PREFECT_API_URL

from artifacts import layout
from tests.artifacts.disks import Disk
from tests.flows.tiny import TinyBuild
from tests.flows.troubled import sound

FIRST_S, LAST_S = 2.0, 14.0


def build_cut_short(disk: Disk, cuts: int, seed: int, expected: str) -> int:
    """Cut the power again and again while one build goes on, at moments that a seed decides; then let it end.

    Args:
        disk: Where everything lies but Prefect's database.
        cuts: How often.
        seed: Decides the moments, and whether the journal was written just before.
        expected: Digest of the release that an undisturbed build makes.

    Returns:
        How many builds were cut before their end; each that had ended was cut right then.
    """
    (disk.mounted / "build").mkdir()
    build, chance, middle = TinyBuild(disk.mounted / "build"), random.Random(seed), 0
    os.sync()
    for _ in range(cuts):
        ended = _cut(disk, build, chance)
        sound(build)
        middle += not ended
        if ended:
            assert build.digest == expected, "a release that was reported is gone"
    process = build.start(PREFECT_API_URL=PREFECT_API_URL.value())
    said = process.communicate()
    assert process.returncode == 0, said
    disk.cut()
    sound(build)
    assert build.digest == expected
    assert layout.tags(build.folder / "registry")[build.release.version] == expected
    return middle


def _cut(disk: Disk, build: TinyBuild, chance: random.Random) -> bool:
    process = build.start(PREFECT_API_URL=PREFECT_API_URL.value())
    try:
        said = process.communicate(timeout=chance.uniform(FIRST_S, LAST_S))
    except subprocess.TimeoutExpired:
        disk.switch_off(journal=chance.random() < 0.5)
        process.kill()
        process.communicate()
        disk.switch_on()
        return False
    disk.cut()
    assert process.returncode == 0, said
    return True
