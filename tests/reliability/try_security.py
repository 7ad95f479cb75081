"""Nobody gets in or out.

A secret of each kind (registry passwords from three places, index, mirror with a password and a signed address, signing
keys with and without a passphrase, ssh key, Prefect's keys, a webhook in a variable) is given to whole tiny builds and
validations; then every file that they left is searched for each of them as it is, in an address, in JSON and in base64
at each of its three places. What is claimed of it stands in SECURITY.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.flows.canaries import modes
from tests.flows.canary_runs import Runs, runs_in
from tests.flows.test_doorkeeper import attacks, server
from tests.reliability.trials import NOTHING, Trials
from tests.tasks.devices.sshd import sshd

__all__ = ["server"]

PACKAGES = ("prefect", "uv", "requests")


def try_to_find_secrets_in_what_runs_leave(trials: Trials, tmp_path: Path) -> None:
    """All runs once, on one machine; then one search."""
    with runs_in(tmp_path) as runs, sshd(tmp_path / "sshd") as board:
        ends = {
            "builds that push and sign": [runs.good(), runs.by_docker(), runs.by_helper()],
            "validations of what was pushed": [runs.validated(board), runs.validated(None)],
            "settings printed": [runs.settings()],
        }
        fails = {
            "pushes that fail": [runs.wrong_password(), runs.redirected()],
            "downloads that fail": [runs.refused_download(), runs.no_mirror(), runs.no_host()],
            "steps that fail": [runs.compiler_fails(), runs.unforeseen(), runs.no_compiler()],
        }
        assert runs.wrong_settings() == 2
        assert all(end == 0 for group in ends.values() for end in group), ends
        assert all(end == 1 for group in fails.values() for end in group), fails
        _searched(runs, trials, {**ends, **fails, "settings refused": [2]})


def _searched(runs: Runs, trials: Trials, done: dict[str, list[int]]) -> None:
    leaks = runs.given.leaks()
    assert leaks == []
    files, size = runs.given.searched()
    count = sum(map(len, done.values()))
    what = ", ".join(f"{len(ends)} {name}" for name, ends in done.items())
    note = f"{what}; {len(runs.given.secrets)} secrets looked for in {files} files, {size / 1e6:.0f} MB"
    trials.tried("every secret set, whatever was left searched", count, NOTHING, note)
    environments = runs.seen.read_text().count("OMP_NUM_THREADS=")
    note = "tools, the guard above each, and the interpreter's and simulator's workers, from /proc"
    trials.tried("environment of a process of the compiler searched", environments, NOTHING, note)


def try_other_sites_pages(trials: Trials, server: int) -> None:
    """What a page in a browser on this machine can send to Prefect's server."""
    found: Counter[int] = Counter()
    ways = 0
    for _ in range(50):
        answers = attacks(server)
        ways = len(answers)
        found.update(answers.values())
    assert set(found) == {403}, found
    note = (
        f"{ways} ways, each {sum(found.values()) // ways} times: without a type, by a name that leads here, and so on"
    )
    trials.tried("another site's page asks Prefect's server", sum(found.values()), NOTHING, note)


def try_builds_under_every_umask(trials: Trials, tmp_path: Path) -> None:
    """Whoever else has an account here may write nothing of it."""
    with runs_in(tmp_path) as runs:
        runs.by_docker()
        for umask in (0o000, 0o022, 0o077):
            assert runs.under(umask) == 0
            open_to_all = [
                path for place in ("store", "registry", "release") for path in modes(runs.build.folder / place)
            ]
            assert open_to_all == []
    trials.tried("a whole build under a umask of 000, 022 and 077", 3, NOTHING, "nothing made is writable for others")
