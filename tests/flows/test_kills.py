"""Builds that lose their processes over and over, and crowds of builds; `make reliability` tries it more often."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import get_current_settings

from tests.flows.folder import BuildFolder
from tests.flows.tiny import TinyBuild
from tests.reliability.chains import Start, chains, made
from tests.reliability.crowd import ends, held_locks, made_by_all

# Its own server takes a build ten seconds to start: that is for the experiment.
SHARES = (("flow", 0.4), ("compiler", 0.2), ("interpreter", 0.2), ("simulator", 0.2))


@pytest.fixture
def server(prefect_server: None) -> str:
    return str(get_current_settings().api.url)


def test_killed_over_and_over_a_build_ends_in_the_release_of_an_undisturbed_one(
    server: str, finished: TinyBuild, tmp_path: Path
) -> None:
    def fresh(number: int, own_server: bool) -> tuple[BuildFolder, Start]:
        build = TinyBuild(made(tmp_path / str(number)))
        return build, lambda: build.start(PREFECT_API_URL=server)

    tally = chains(5, fresh, finished.digest, 0.1, SHARES)
    assert tally.kills == 5 and tally.killed["flow"] == 2


def test_of_a_crowd_of_builds_of_which_one_is_killed_each_makes_what_no_other_made(
    server: str, finished: TinyBuild, tmp_path: Path
) -> None:
    build = TinyBuild(tmp_path)
    crowd: list[subprocess.Popen[Any]] = [build.start(PREFECT_API_URL=server) for _ in range(4)]
    ends(crowd, 1, random.Random(0), 8.0)
    assert build.digest == finished.digest and held_locks(tmp_path) == []
    # What the killed one was at is done again, nothing else: at most one step a thread.
    assert sum(times - 1 for times in made_by_all(build).values()) <= 2
