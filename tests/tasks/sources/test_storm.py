"""Many downloads through whatever a network does; `make reliability ONLY=network` does the same more often."""

from __future__ import annotations

from pathlib import Path

from tests.tasks.sources import storm


def test_a_download_ends_in_the_right_bytes_or_in_words(tmp_path: Path) -> None:
    outcome = storm.downloads(tmp_path, 15, seed=11)
    assert outcome.lost == [] and outcome.right + outcome.told == 15


def test_a_list_of_images_is_whole_in_the_end(tmp_path: Path) -> None:
    outcome = storm.images(tmp_path, 40, 0.1, seed=12)
    assert outcome.lost == [] and outcome.right == 40


def test_a_member_of_a_zip_is_right_or_comes_from_the_next_mirror(tmp_path: Path) -> None:
    outcome = storm.members(tmp_path, 6, seed=13)
    assert outcome.lost == [] and outcome.right == 6
