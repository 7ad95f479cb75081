"""With pinned keys, a thief of the registry's password gets no device to run anything; without, some of it works."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Callable, Iterator

import pytest

from tests.inference.deploy import thefts
from tests.inference.deploy.stolen import NEW, OLD, Board, Server, Stolen, server_in, stolen_registry
from tests.inference.deploy.trusting import NOW

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_in(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def stolen(tmp_path: Path, server: Server) -> Iterator[Stolen]:
    with stolen_registry(tmp_path / "registry", server, next(_numbers)) as found:
        yield found


# All of them, and what each device says: make reliability ONLY=theft.
SOME = (thefts.sign_with_own_key, thefts.replay_old, thefts.old_as_new, thefts.other_repository, thefts.alter_model)


@pytest.mark.parametrize("theft", SOME, ids=lambda theft: str(theft.__name__))
def test_with_keys_a_device_runs_nothing_that_its_publisher_does_not_mean(
    theft: Callable[[Stolen], None], stolen: Stolen, tmp_path: Path
) -> None:
    board = Board(stolen, tmp_path / "board", keys=True)
    assert board.pull(NEW).error == "" and board.pull("stable").taken == stolen.digests[NEW]
    fresh = {name: Board(stolen, tmp_path / f"fresh-{name}", keys=True) for name in (NEW, "stable")}
    theft(stolen)
    for name in (NEW, "stable"):
        assert board.pull(name).taken == stolen.digests[NEW], name
    assert fresh[NEW].pull(NEW).taken in (None, stolen.digests[NEW])
    # The first record that a device sees is believed: of the publisher's own releases it may be an older one.
    allowed = {None, stolen.digests[NEW]} | ({stolen.digests[OLD]} if theft is thefts.replay_old else set())
    assert fresh["stable"].pull("stable").taken in allowed


@pytest.mark.parametrize("theft", [thefts.put_own_release, thefts.old_as_new], ids=["own", "old"])
def test_without_keys_a_version_is_what_its_tag_says(
    theft: Callable[[Stolen], None], stolen: Stolen, tmp_path: Path
) -> None:
    board = Board(stolen, tmp_path / "board", keys=False)
    assert board.pull(NEW).taken == stolen.digests[NEW]
    theft(stolen)
    taken = board.pull(NEW).taken
    assert taken == (stolen.evil if theft is thefts.put_own_release else stolen.digests[OLD])


def test_without_keys_a_digest_is_still_a_digest(stolen: Stolen, tmp_path: Path) -> None:
    board = Board(stolen, tmp_path / "board", keys=False)
    thefts.put_own_release(stolen)
    assert board.pull(stolen.digests[NEW]).taken == stolen.digests[NEW]
    thefts.alter_model(stolen)
    fresh = Board(stolen, tmp_path / "fresh", keys=False).pull(stolen.digests[NEW])
    assert fresh.taken is None and fresh.error == "RegistryMisbehaved"


def test_a_channel_that_is_held_back_stops_being_good_when_its_record_expires(stolen: Stolen, tmp_path: Path) -> None:
    fresh = Board(stolen, tmp_path / "fresh", keys=True)
    thefts.replay_old(stolen)
    assert fresh.pull("stable").taken == stolen.digests[OLD]
    later = Board(stolen, tmp_path / "later", keys=True)
    later.now = NOW + timedelta(days=31)
    assert later.pull("stable") == (None, "RecordExpired")
