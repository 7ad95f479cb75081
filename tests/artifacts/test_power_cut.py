"""Power cuts on the build's side of artifacts: stores, layouts, folders of releases."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from tests.artifacts.cuts import (
    cut_exports_before_each_call,
    cut_publications,
    cut_repeated_puts_before_each_call,
    cut_stores,
)
from tests.artifacts.disks import Disk, cuttable

CUTS = 12


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with cuttable(tmp_path, 128 << 20) as found:
        yield found


def test_what_a_store_has_taken_is_there_after_a_power_cut_at_any_moment(disk: Disk, tmp_path: Path) -> None:
    assert cut_stores(disk, tmp_path, CUTS, seed=4) > 0


def test_what_was_published_is_there_after_a_power_cut_at_any_moment(disk: Disk, tmp_path: Path) -> None:
    assert cut_publications(disk, tmp_path, CUTS, seed=5) > 0


@pytest.mark.parametrize("journal", [False, True])
def test_a_folder_of_a_release_is_the_old_one_or_the_new_one_whenever_the_power_is_cut(
    disk: Disk, tmp_path: Path, journal: bool
) -> None:
    assert cut_exports_before_each_call(disk, tmp_path, journal=journal) > 20


def test_what_is_put_again_after_a_kill_is_there_after_a_power_cut(disk: Disk) -> None:
    assert cut_repeated_puts_before_each_call(disk) > 5
