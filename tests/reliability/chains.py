"""Chains of kills: a build that loses one of its processes over and over, and is then left alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from artifacts import layout
from tests.flows.folder import BuildFolder
from tests.flows.tiny import TinyBuild
from tests.reliability.killing import Tally, check_told, kill_one, kinds, leftovers
from tests.reliability.trials import Trials

SEED = 8
OWN_SERVER = 3  # every so many chains
Shares = Sequence[tuple[str, float]]
SHARES: Shares = (
    ("flow", 0.3),
    ("compiler", 0.2),
    ("interpreter", 0.15),
    ("simulator", 0.1),
    ("server", 0.15),
    ("guard", 0.1),
)
# Longest time between the first process of a kind and the kill; of the flow, from its start.
SPANS = {"flow": 40.0, "compiler": 12.0, "interpreter": 6.0, "simulator": 4.0, "server": 25.0, "guard": 12.0}

Start = Callable[[], Any]


class Fresh(Protocol):
    """Makes the build of a chain, and what starts it."""

    def __call__(self, number: int, own_server: bool) -> tuple[BuildFolder, Start]: ...


def chains(total: int, fresh: Fresh, digest: str, scale: float, shares: Shares = SHARES, seed: int = SEED) -> Tally:
    """Kill builds until the kills are dealt out; every chain ends in the undisturbed release.

    Args:
        total: How many kills.
        fresh: Makes the build of a chain.
        digest: Of that release.
        scale: Of the longest times until a kill.
        shares: What is killed how often, of all kills.
        seed: Decides what is killed when.
    """
    tally, chance = Tally(), random.Random(seed)
    waiting = list(kinds(total, chance, shares))
    while waiting:
        own = "server" in waiting and (tally.chains % OWN_SERVER == 0 or set(waiting) == {"server"})
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


def tiny_chains(total: int, server: str, folder: Path) -> Tally:
    """Kill tiny builds; see `chains`."""
    undisturbed = TinyBuild(made(folder / "undisturbed"))
    process = undisturbed.start(PREFECT_API_URL=server)
    assert process.wait() == 0, process.communicate()

    def fresh(number: int, own_server: bool) -> tuple[BuildFolder, Start]:
        build = TinyBuild(made(folder / f"chain-{number}"))
        return build, lambda: build.start(**server_for(build, server, own_server))

    return chains(total, fresh, undisturbed.digest, 0.2)


def server_for(build: BuildFolder, server: str, own: bool) -> dict[str, str]:
    return {"PREFECT_HOME": str(build.folder / "prefect")} if own else {"PREFECT_API_URL": server}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
