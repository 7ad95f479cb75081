"""Two and eight builds at once.

Builds of one profile started at the same moment, with one store, one layout, one release folder and one registry server
to push to. Each step must be made once by all of them together, all must end in the release of a build that was alone,
the server must have it, and no lock may be held afterwards. In half of the rounds with the stand-in compiler some
builds are killed at random moments: the others take over what those had begun, and nothing is made twice but that.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from tests.artifacts.remote.debian import docker_registry
from tests.e2e.whole_build import WholeBuild
from tests.flows.folder import BuildFolder
from tests.flows.tiny import TinyBuild
from tests.reliability.crowd import ends, held_locks, made_by_all
from tests.reliability.trials import Trials

SEED = 11
ROUNDS = 5
SPAN_S = 12.0


def try_tiny_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    alone = TinyBuild(_made(tmp_path / "alone"))
    ends([alone.start(PREFECT_API_URL=server)], 0, random.Random(), 0.0)
    chance = random.Random(SEED)
    with docker_registry(tmp_path / "server") as host:
        for crowd in (2, 8):
            for killed in (0, crowd // 2):
                again = 0
                for number in range(ROUNDS):
                    folder = _made(tmp_path / f"{crowd}-{killed}-{number}")
                    again += one_round(TinyBuild(folder), alone, host, server, crowd, killed, chance)
                what = f"{crowd} builds at once" + (f", {killed} of them killed" if killed else "")
                note = f"{ROUNDS * crowd} builds; made twice, because its maker was killed: {again} steps"
                trials.tried(what, ROUNDS, note=note if killed else f"{ROUNDS * crowd} builds; each step made once")


def one_round(
    build: TinyBuild, alone: TinyBuild, host: str, server: str, crowd: int, killed: int, chance: random.Random
) -> int:
    """Run one crowd; return how many steps were made twice."""
    push = ("--set", f"release.push={host}/{build.folder.name}")
    ends([build.start(*push, PREFECT_API_URL=server) for _ in range(crowd)], killed, chance, SPAN_S)
    twice = check(build, alone.digest)
    assert killed or (twice == 0 and sorted(build.calls()) == sorted(alone.calls()))
    with RemoteRegistry(host, build.folder.name, access=Access()) as remote:
        assert remote.tag_digest("latest") == alone.digest
    return twice


@pytest.mark.compiler
def try_real_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    alone = WholeBuild(_made(tmp_path / "alone"))
    alone.run(PREFECT_API_URL=server)
    rounds = 2
    for number in range(rounds):
        build = WholeBuild(_made(tmp_path / f"two-{number}"))
        processes = [build.start(PREFECT_API_URL=server) for _ in range(2)]
        ends(processes, 0, random.Random(), 0.0)
        assert check(build, alone.digest) == 0
    trials.tried("two builds at once with the real compiler", rounds, note="each step made once")


def check(build: BuildFolder, digest: str) -> int:
    """All must be as if one build had been alone; returns how many steps were made more than once."""
    assert build.digest == digest and layout.check(build.folder / "registry") == []
    assert build.workspace.content.verify_all() == []
    assert held_locks(build.folder) == []
    return sum(times - 1 for times in made_by_all(build).values())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
