"""Killed at any moment: `current` always leads to a whole release, and nothing is left behind for ever."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Dict, List

import pytest

from artifacts.reference import Reference
from inference.deploy.prune import rollback
from inference.deploy.store import DeviceStore
from inference.model import find_model
from tests.artifacts.processes import killed_after, killed_before
from tests.inference.deploy.support import INT8, publish, pulled

KILLS = 60
PADDING = 400_000


@pytest.fixture
def store(tmp_path: Path) -> DeviceStore:
    return DeviceStore(tmp_path / "device")


@pytest.fixture(autouse=True)
def no_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written; the power cuts are another module's."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def in_use(store: DeviceStore) -> Dict[str, str]:
    """The version that each link leads to; every file of both releases is read and hashed."""
    state, found = store.state(), {}
    for folder in (store.root / "releases").iterdir() if (store.root / "releases").is_dir() else ():
        assert find_model(folder), "a release has its name before it is whole"
    for link in ("current", "previous"):
        name = store.linked(link)
        assert (name is None) == (not (store.root / link).is_symlink()), "a link that leads nowhere"
        if name is not None:
            found[link] = find_model(store.root / link).release.version
            release = state.find(name)
            assert release is not None
            assert not store.place(release.files, name), "a file of a release in use was not whole"
    return found


def noted_as_current(store: DeviceStore) -> str:
    """The version that the state calls current, whether the link follows it already or not."""
    state = store.state()
    found = state.find(state.current)
    assert found is not None
    return found.version


def leftovers(store: DeviceStore) -> List[str]:
    folders = [store.root / "staging", store.root / "scratch"]
    hidden = [path.name for path in store.root.iterdir() if path.name.startswith(".") and "lock" not in path.name]
    return hidden + [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def duration(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def test_killed_while_it_pulls(tmp_path: Path, store: DeviceStore) -> None:
    pulled(publish(tmp_path, padding=PADDING), store)
    references = [publish(tmp_path, f"2.0.{number}", padding=PADDING) for number in range(8)]
    span = duration(lambda: pulled(references[0], DeviceStore(tmp_path / "other")))
    chance, killed, switched = random.Random(1), 0, 0
    before = noted = "1.0.0"
    for attempt in range(10 * KILLS):
        if killed == KILLS:
            break
        wanted = references[attempt // 4 % len(references)]
        ended = not killed_after(chance.uniform(0, span), lambda wanted=wanted: pulled(wanted, store))  # type: ignore[misc]
        killed += not ended
        # However busy the machine becomes meanwhile, the kills reach to the end of a pull, and most are before it.
        span *= 0.8 if ended else 1.1
        now = in_use(store)
        # A switch that was noted but not carried out is finished by the next pull.
        assert now["current"] in (before, noted, wanted.name)
        switched += now["current"] != before
        before, noted = now["current"], noted_as_current(store)
    assert killed == KILLS and switched > 0
    assert store.content.verify_all() == []
    pulled(references[-1], store)
    assert in_use(store)["current"] == references[-1].name and leftovers(store) == []


def test_killed_while_it_switches(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)

    def for_ever() -> None:
        while True:
            rollback(store)

    chance, killed, seen = random.Random(2), 0, set()
    for _ in range(KILLS):
        killed += killed_after(chance.uniform(0.005, 0.04), for_ever)
        now = in_use(store)
        assert set(now.values()) <= {"1.0.0", "1.1.0"} and "previous" in now
        store.tidy()
        now = in_use(store)
        assert now["current"] != now["previous"], "the way back was lost"
        seen.add(now["current"])
    assert killed == KILLS and seen == {"1.0.0", "1.1.0"}
    assert leftovers(store) == []


def small(folder: Path, version: str) -> Reference:
    """A release of few files."""
    return publish(folder, version, [INT8], with_golden=False)


def untested(reference: Reference, store: DeviceStore) -> None:
    pulled(reference, store, check=lambda folder, record, variants: None)


def test_killed_before_each_change_of_a_pull(tmp_path: Path) -> None:
    first, second = small(tmp_path, "1.0.0"), small(tmp_path, "1.1.0")
    versions: List[str] = []
    for number in range(500):
        store = DeviceStore(tmp_path / "devices" / str(number))
        untested(first, store)
        killed = killed_before(number, lambda store=store: untested(second, store))  # type: ignore[misc]
        versions.append(in_use(store)["current"])
        untested(second, store)
        assert in_use(store) == {"current": "1.1.0", "previous": "1.0.0"} and leftovers(store) == []
        if not killed:
            break
    assert len(versions) > 20 and versions == sorted(versions), "the old release, then the new one"
    assert set(versions) == {"1.0.0", "1.1.0"}


def test_killed_before_each_change_of_the_very_first_pull(tmp_path: Path) -> None:
    reference = small(tmp_path, "1.0.0")
    for number in range(500):
        store = DeviceStore(tmp_path / "devices" / str(number))
        killed = killed_before(number, lambda store=store: untested(reference, store))  # type: ignore[misc]
        assert set(in_use(store).values()) <= {"1.0.0"}
        untested(reference, store)
        assert in_use(store) == {"current": "1.0.0"} and leftovers(store) == []
        if not killed:
            break
    assert 20 < number < 499


def test_killed_before_each_change_of_a_rollback(tmp_path: Path, store: DeviceStore) -> None:
    for version in ("1.0.0", "1.1.0"):
        pulled(publish(tmp_path, version), store)
    for number in range(100):
        before = in_use(store)
        killed = killed_before(number, lambda: rollback(store))
        assert in_use(store)["current"] in ("1.0.0", "1.1.0")
        store.tidy()
        after = in_use(store)
        assert after in (before, {"current": before["previous"], "previous": before["current"]})
        assert leftovers(store) == []
        if not killed:
            break
    assert 5 < number < 99
