"""The password of the registry is stolen.

Thefts are played against Debian's docker-registry with TLS and passwords. Afterwards four devices pull: by version and
by channel, one that pulled the right release before and one that never pulled; first with the publisher's key pinned,
then without keys. *Lost* is what a device then runs that its publisher did not mean. What follows from it stands in
SECURITY.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.inference.deploy import thefts
from tests.inference.deploy.stolen import NEW, OLD, Board, Outcome, Stolen, server_in, stolen_registry
from tests.reliability.trials import NOTHING, Trials

PACKAGES = ("requests", "securesystemslib")


def try_thefts_of_the_registrys_password(trials: Trials, tmp_path: Path) -> None:
    """Each theft in a repository of its own; devices that pulled before, and devices that pull for the first time."""
    with server_in(tmp_path) as running:
        for number, theft in enumerate(thefts.THEFTS):
            said: dict[bool, set[str]] = {True: set(), False: set()}
            taken: dict[bool, set[str]] = {True: set(), False: set()}
            with stolen_registry(tmp_path / str(number), running, number) as stolen:
                for keys in (True, False):
                    _pull_before(stolen, tmp_path / f"boards-{number}-{keys}", keys)
                theft(stolen)
                for keys in (True, False):
                    _pull_after(stolen, tmp_path / f"boards-{number}-{keys}", keys, said[keys], taken[keys])
            _told(trials, theft.__name__, str(theft.__doc__), said, taken)


def _pull_before(stolen: Stolen, folder: Path, keys: bool) -> None:
    for name in (NEW, "stable"):
        assert Board(stolen, folder / name, keys=keys).pull(name) == Outcome(stolen.digests[NEW], "")


def _pull_after(stolen: Stolen, folder: Path, keys: bool, said: set[str], taken: set[str]) -> None:
    for name in (NEW, "stable"):
        for place, kind in ((name, "used"), (f"fresh-{name}", "new")):
            outcome = Board(stolen, folder / place, keys=keys).pull(name)
            said.add(outcome.error)
            whose = {stolen.digests[OLD]: "the older release", stolen.digests[NEW]: "", None: ""}
            wrong = whose.get(outcome.taken, "a release of the thief's")
            if wrong:
                taken.add(f"{wrong} ({kind} device, by {'version' if name == NEW else 'channel'})")


def _told(trials: Trials, name: str, what: str, said: dict[bool, set[str]], taken: dict[bool, set[str]]) -> None:
    # A device that never pulled believes the first record of the publisher's that it sees.
    assert taken[True] <= ({"the older release (new device, by channel)"} if name == "replay_old" else set())
    for keys in (True, False):
        lost = ", ".join(sorted(taken[keys])) or NOTHING
        errors = ", ".join(sorted(one for one in said[keys] if one)) or "none"
        trials.tried(f"{'keys pinned' if keys else 'no keys'}: {what.rstrip('.')}", 4, lost, f"said: {errors}")
