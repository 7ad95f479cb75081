"""Kill anything, any time.

`kill -9` at random moments of builds with the real compiler: the sample's network and flow with a smaller input and
matrix. A chain is one build that is started and loses one of its processes over and over, three to nine times, and is
then left alone. It must end well then, in the very release of a build that was never disturbed (the index's digest),
with no process left a minute after each kill and no temporary file in the store at the end. A build that lost its
compiler, a worker, its server or a guard must get over it or end with one paragraph and status 1. Every third chain has
a Prefect server of its own, whose database is killed with it; the others use one that runs. Two chains are at work
beside each other.

Three runs before this one, of 59, 36 and 61 kills, each ended with what it found: that Prefect says in two ways that a
server is gone, that it may start another one in its place and leave that behind, and that a line for a page that is
gone was told by a traceback. Each is mended, and a test of its own now. A fourth, of 58 kills with another seed, lost
nothing.
"""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.whole_build import WholeBuild
from tests.flows.folder import BuildFolder
from tests.reliability.chains import SEED, Start, chains, made, server_for, tell
from tests.reliability.killing import Tally
from tests.reliability.trials import Trials

KILLS = 60
LANES = 2


@pytest.mark.compiler
def try_real_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    undisturbed = WholeBuild(made(tmp_path / "undisturbed"))
    undisturbed.run(PREFECT_API_URL=server)

    def fresh(lane: int, number: int, own_server: bool) -> tuple[BuildFolder, Start]:
        build = WholeBuild(made(tmp_path / f"chain-{lane}-{number}"))
        return build, lambda: build.start(**server_for(build, server, own_server))

    def run(lane: int) -> Tally:
        kills = KILLS // LANES + (lane < KILLS % LANES)
        try:
            return chains(kills, partial(fresh, lane), undisturbed.digest, 1.0, seed=SEED + lane)
        except BaseException:
            traceback.print_exc()  # the other lane may go on for half an hour
            raise

    with ThreadPoolExecutor(LANES) as pool:
        tally = sum(pool.map(run, range(LANES)), Tally())
    tell(trials, "`kill -9` in builds with the real compiler", tally)
