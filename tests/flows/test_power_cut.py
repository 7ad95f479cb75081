"""A build whose disk is cut off ends in the same release as one that nobody disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.disks import Disk, cuttable
from tests.flows.cuts import build_cut_short
from tests.flows.tiny import TinyBuild


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with cuttable(tmp_path, 1 << 30) as found:
        yield found


def test_a_build_that_is_cut_off_and_built_again_ends_in_the_same_release(disk: Disk, finished: TinyBuild) -> None:
    build_cut_short(disk, 2, seed=2, expected=finished.digest)
