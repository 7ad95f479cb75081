"""Pushes to Debian's registry through a network that fails; `make reliability ONLY=network` does it more often."""

from __future__ import annotations

from pathlib import Path

from tests.artifacts.remote import storm
from tests.artifacts.remote.debian import docker_registry


def test_a_push_is_whole_or_told_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as place:
        outcome = storm.pushes(tmp_path, place, 6, seed=21)
    assert outcome.lost == [] and outcome.done + outcome.told == 6
