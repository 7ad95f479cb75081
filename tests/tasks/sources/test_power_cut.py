"""A download is whole when it has its name, and there once it was reported, whenever the power is cut."""

from __future__ import annotations

from pathlib import Path

from tests.artifacts.disks import cuttable
from tests.tasks.sources.cuts import downloads_cut_short


def test_downloads_that_are_cut_off_are_fetched_in_the_end(tmp_path: Path) -> None:
    with cuttable(tmp_path, 128 << 20) as disk:
        downloads_cut_short(disk, tmp_path, 10, seed=6)
