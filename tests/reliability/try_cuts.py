"""Power cuts

An ext4 is shut down by its ioctl, in every other case with its journal written just before: what was not synced is lost
then, as when the plug is pulled. Whatever worked there is killed at that moment, at moments that a seed decides, or
before each call that changes the disk. *Lost* is what had been reported as done before (a function had returned, a
command had ended with 0) and was gone, and what was there and wrong: a blob that does not hash to its name, a tag that
leads to less than a whole release, a folder of a release that is none. Each time the next run had to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.cuts import (
    cut_exports_before_each_call,
    cut_publications,
    cut_repeated_puts_before_each_call,
    cut_stores,
)
from tests.artifacts.disks import Disk, cuttable
from tests.flows.conftest import runner
from tests.flows.cuts import build_cut_short
from tests.flows.tiny import TinyBuild
from tests.inference.deploy.test_power_cut import activations_cut_off, activations_cut_short
from tests.reliability.trials import Trials
from tests.tasks.sources.cuts import downloads_cut_short
from tests.tasks.toolchain.test_power_cut import environments_cut_off

CUTS = 200
DOWNLOADS = 100
PULLS = 60
BUILDS = 12
ENVIRONMENTS = 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be cut off."""
    with cuttable(tmp_path, 1 << 30) as found:
        yield found


def try_stores(trials: Trials, disk: Disk, tmp_path: Path) -> None:
    done = cut_stores(disk, tmp_path, CUTS, seed=21)
    note = f"seed 21; {done:,} blobs and links had been reported, and were there"
    trials.tried("the store: put, adopt, link", CUTS, note=note)


def try_puts_over_a_killed_one(trials: Trials, disk: Disk) -> None:
    calls = cut_repeated_puts_before_each_call(disk)
    note = "the power is cut when another process has put the same; found: the name of such a blob was lost"
    trials.tried("the store: a process is killed before each call of a put", calls, note=note)


def try_publications(trials: Trials, disk: Disk, tmp_path: Path) -> None:
    done = cut_publications(disk, tmp_path, CUTS, seed=22)
    note = f"seed 22; {done:,} tags, envelopes, reports and folders had been reported, and were there"
    trials.tried("publish, move a channel, put signatures and evidence beside it, export", CUTS, note=note)


@pytest.mark.parametrize("journal", [False, True])
def try_exports(trials: Trials, disk: Disk, tmp_path: Path, journal: bool) -> None:
    calls = cut_exports_before_each_call(disk, tmp_path, journal=journal)
    note = "the old folder or the new one, found: none between two renames" if journal else "the old folder or the new"
    how = "just after the journal was written" if journal else "with the journal lost"
    trials.tried(f"a folder of a release takes another's place; cut before each call, {how}", calls, note=note)


def try_downloads(trials: Trials, disk: Disk, tmp_path: Path) -> None:
    resumed = downloads_cut_short(disk, tmp_path, DOWNLOADS, seed=23)
    note = f"seed 23; {resumed} went on from what had arrived; bytes and recorded digests were right in the end"
    trials.tried("downloads over HTTP, with and without a known digest", DOWNLOADS, note=note)


@pytest.mark.parametrize("number", range(ENVIRONMENTS))
def try_environments(trials: Trials, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    environments_cut_off(disk, tmp_path, monkeypatch, journal=number % 2 == 1)
    if number + 1 == ENVIRONMENTS:
        note = "a stand-in of the installer; found: an environment that was called ready, all of its files empty"
        trials.tried("the compiler's environment, as soon as it is ready", ENVIRONMENTS, note=note)


def try_activations(trials: Trials, disk: Disk, tmp_path: Path) -> None:
    activations_cut_off(disk, tmp_path, PULLS)
    trials.tried("the device: as soon as a release was reported as in use", PULLS)


def try_activations_in_the_middle(trials: Trials, disk: Disk, tmp_path: Path) -> None:
    activations_cut_short(disk, tmp_path, PULLS)
    note = "seed 3; `current` led to the whole old release or the whole new one"
    trials.tried("the device: while it pulls, switches and goes back", PULLS, note=note)


def try_builds(trials: Trials, disk: Disk, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    undisturbed = TinyBuild(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        assert runner(undisturbed, patch)() == 0
    middle = build_cut_short(disk, BUILDS, seed=24, expected=undisturbed.digest)
    note = f"seed 24; {middle} before their end; the digest was that of an undisturbed one"
    trials.tried("a whole build, records and journals of Prefect's side too", BUILDS, note=note)
