"""Kill anything, any time.

`kill -9` at random moments of builds with the real compiler: the sample's network and flow with a smaller input and
matrix. A chain is one build that is started and loses one of its processes over and over, three to nine times, and is
then left alone. It must end well then, in the very release of a build that was never disturbed (the index's digest),
with no process left a minute after each kill and no temporary file in the store at the end. A build that lost its
compiler, a worker, its server or a guard must get over it or end with one paragraph and status 1. Every third chain has
a Prefect server of its own, whose database is killed with it; the others use one that runs. *Tiny* builds have a
stand-in compiler, so that more kills hit the moments between its commands: look-ups, records, journal, registry.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from artifacts import layout
from tests.e2e.whole_build import WholeBuild
from tests.flows.folder import BuildFolder
from tests.flows.tiny import TinyBuild
from tests.reliability.killing import Tally, check_told, kill_one, kinds, leftovers
from tests.reliability.trials import Trials

SEED = 7
REAL_KILLS, TINY_KILLS = 105, 105
OWN_SERVER = 3  # every so many chains
SHARES = (("flow", 0.3), ("compiler", 0.2), ("interpreter", 0.15), ("simulator", 0.1), ("server", 0.15), ("guard", 0.1))
# Longest time between the first process of a kind and the kill; of the flow, from its start.
SPANS = {"flow": 40.0, "compiler": 12.0, "interpreter": 6.0, "simulator": 4.0, "server": 25.0, "guard": 12.0}

Start = Callable[[], Any]


class Fresh(Protocol):
    """Makes the build of a chain, and what starts it."""

    def __call__(self, number: int, own_server: bool) -> tuple[BuildFolder, Start]: ...


def chains(total: int, fresh: Fresh, digest: str, scale: float) -> Tally:
    """Kill builds until the kills are dealt out; every chain ends in the undisturbed release."""
    tally, chance = Tally(), random.Random(SEED)
    waiting = list(kinds(total, chance, SHARES))
    while waiting:
        own = tally.chains % OWN_SERVER == 0 or set(waiting) == {"server"}
        build, start = fresh(tally.chains, own)
        for _ in range(chance.randint(3, 9)):
            fitting = [place for place, kind in enumerate(waiting) if own or kind != "server"]
            if not fitting:
                break
            kind = waiting[fitting[0]]
            kill = kill_one(build, start, kind, SPANS[kind] * scale, chance)
            check_told(kill)
            tally.add(kill)
            print(f"{tally.kills}/{total} chain {tally.chains} {kind}: {kill.kind} {kill.status}", flush=True)
            del waiting[fitting[0]]
            if kill.kind is None:  # it ended before: this kind is killed in another chain
                waiting.append(kind)
            if kill.status == 0:
                break
        done = kill_one(build, start, "nothing", 0.0, chance)
        assert done.status == 0, done.shown
        assert build.digest == digest and leftovers(build) == [], leftovers(build)
        assert build.workspace.content.verify_all() == [] and layout.check(build.folder / "registry") == []
        tally.chains += 1
    return tally


def tell(trials: Trials, what: str, tally: Tally) -> None:
    """Write a tally down."""
    dealt = ", ".join(f"{kind} {times}" for kind, times in sorted(tally.killed.items()))
    note = f"{tally.chains} chains, seed {SEED}; {dealt}; the build itself got over {tally.survived}; "
    trials.tried(what, tally.kills, note=note + f"the last process was gone {tally.orphans_s:.1f} s after its build")


@pytest.mark.compiler
def try_real_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    undisturbed = WholeBuild(_made(tmp_path / "undisturbed"))
    undisturbed.run(PREFECT_API_URL=server)

    def fresh(number: int, own_server: bool) -> tuple[BuildFolder, Start]:
        build = WholeBuild(_made(tmp_path / f"chain-{number}"))
        return build, lambda: build.start(**_server(build, server, own_server))

    tell(trials, "`kill -9` in builds with the real compiler", chains(REAL_KILLS, fresh, undisturbed.digest, 1.0))


def try_tiny_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    tell(trials, "`kill -9` in tiny builds", tiny_chains(TINY_KILLS, server, tmp_path))


def tiny_chains(total: int, server: str, folder: Path) -> Tally:
    """Kill tiny builds; see `chains`."""
    undisturbed = TinyBuild(_made(folder / "undisturbed"))
    process = undisturbed.start(PREFECT_API_URL=server)
    assert process.wait() == 0, process.communicate()

    def fresh(number: int, own_server: bool) -> tuple[BuildFolder, Start]:
        build = TinyBuild(_made(folder / f"chain-{number}"))
        return build, lambda: build.start(**_server(build, server, own_server))

    return chains(total, fresh, undisturbed.digest, 0.2)


def _server(build: BuildFolder, server: str, own: bool) -> dict[str, str]:
    return {"PREFECT_HOME": str(build.folder / "prefect")} if own else {"PREFECT_API_URL": server}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
