from __future__ import annotations

import os
import random
from collections import namedtuple
from pathlib import Path

import pytest

from artifacts.errors import (
    RegistryUnreachable,
)
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.store import ContentStore
from tests.artifacts.processes import killed_after
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.downloads import BLOB, DATA, SIZE, content, names, nothing_visible, part, ranges
from tests.artifacts.remote.liar import REPOSITORY, Liar, instead
from tests.artifacts.remote.lies import (
    cut,
    dripping,
    ignoring_ranges,
    silent,
    unsatisfiable,
)

pytestmark = pytest.mark.usefixtures("data_there")


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_cut_half_way_goes_on_where_it_stopped(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, reset: bool
) -> None:
    liar.lies = [cut(1_000_000, reset=reset)]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    first, second = ranges(liar)
    assert first == ""
    # A reset may take with it what the kernel had not yet handed over.
    assert second == f"bytes=1000000-{SIZE - 1}" if not reset else second.endswith(f"-{SIZE - 1}") or second == ""


def test_a_server_that_cuts_every_connection_is_borne_while_it_brings_something(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, waits: Waits
) -> None:
    liar.always = cut(300_000)
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert len(liar.asked) == 7 > QUICK.attempts
    assert ranges(liar)[1:4] == [f"bytes={start}-{SIZE - 1}" for start in (300_000, 600_000, 900_000)]


def test_a_server_that_brings_nothing_more_is_given_up_and_the_part_is_kept(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, waits: Waits
) -> None:
    liar.lies = [cut(700_000)]
    liar.always = cut(0)
    with pytest.raises(RegistryUnreachable, match=r"ended too early.*goes on where it stopped"):
        remote.fetch(BLOB, store)
    assert len(liar.asked) == 1 + QUICK.attempts
    assert waits == [0.25, 0.25, 0.5]
    assert nothing_visible(store)
    liar.always = None
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar)[-1] == f"bytes=700000-{SIZE - 1}"


def test_a_silent_server_is_dropped_and_asked_for_the_rest(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    liar.lies = [silent(500_000)]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar) == ["", f"bytes=500000-{SIZE - 1}"]


def test_a_dripping_server_is_dropped_though_it_never_falls_silent(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    liar.lies = [dripping]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert len(liar.asked) == 2
    other = content(2)
    liar.put(other)
    liar.always = dripping
    with pytest.raises(RegistryUnreachable, match=r"bytes a second, less than 4096"):
        remote.fetch(blob_of(other), store)


def test_a_server_without_ranges_sends_all_again(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    liar.lies = [cut(1_000_000), ignoring_ranges]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert len(liar.asked) == 2


def test_another_range_than_the_one_asked_for_is_not_put_together(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    wrong = {"Content-Range": f"bytes 999999-{SIZE - 1}/{SIZE}"}
    liar.lies = [cut(1_000_000), instead(206, wrong, DATA[999_999:])]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar) == ["", f"bytes=1000000-{SIZE - 1}", ""]


def test_a_refused_range_with_a_lying_length_starts_over(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    liar.lies = [cut(1_000_000), unsatisfiable]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar) == ["", f"bytes=1000000-{SIZE - 1}", ""]


def test_a_whole_part_is_never_asked_for_an_empty_range(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    part(store, DATA)
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert liar.asked == []


@pytest.mark.parametrize("left", [content(9), DATA + b"too much", b"\0" * SIZE], ids=["other", "longer", "holes"])
def test_a_spoiled_part_is_dropped(remote: RemoteRegistry, liar: Liar, store: ContentStore, left: bytes) -> None:
    part(store, left)
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar) == [""]


Outcome = namedtuple("Outcome", "killed finished bad lost")


def killed_pulls(liar: Liar, folder: Path, kills: int, seed: int) -> Outcome:
    """Kill pulls at random moments until so many were killed; count what must never be."""
    chance, killed, finished, bad, lost = random.Random(seed), 0, 0, 0, 0
    data, store, before = b"", ContentStore(folder), 0

    def pull() -> None:
        with RemoteRegistry(liar.place, REPOSITORY, access=Access()) as registry:
            registry.fetch(blob_of(data), store)

    while killed < kills:
        if not data or store.is_sound(blob_of(data)):
            finished, before = finished + bool(data), 0
            data = content(chance.randrange(1 << 30), SIZE)
            liar.put(data)
        was_killed = killed_after(chance.uniform(0.0, 0.12), pull)
        killed += was_killed
        here = sorted(store.incoming.glob("*.part"))
        now = sum(path.stat().st_size for path in here)
        bad += len(store.verify_all()) + sum(not data.startswith(path.read_bytes()) for path in here)
        lost += now < before and not store.is_sound(blob_of(data))
        before = now
    return Outcome(killed, finished, bad, lost)


def test_pulls_killed_at_random_leave_no_bad_blob_and_lose_no_progress(liar: Liar, tmp_path: Path) -> None:
    liar.bytes_per_second = 25_000_000
    outcome = killed_pulls(liar, tmp_path / "store", kills=60, seed=20261122)
    print(outcome)
    assert (outcome.killed, outcome.bad, outcome.lost) == (60, 0, 0)
    assert any(ranges(liar)), "no pull went on where a killed one had stopped"


def test_a_part_stays_writable_until_it_is_a_blob(
    remote: RemoteRegistry, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ContentStore, "_publish", interrupted)
        remote.fetch(BLOB, store)
    [left] = store.incoming.iterdir()
    assert left.stat().st_mode & 0o777 == 0o644
    assert remote.fetch(BLOB, store).stat().st_mode & 0o777 == 0o444


def test_parts_that_nobody_finished_are_swept_after_a_week(store: ContentStore) -> None:
    old = part(store, b"old")
    young = old.with_name("b" * 64 + ".part")
    young.write_bytes(b"young")
    os.utime(old, (1, 1))
    assert store.sweep() == [old]
    assert names(store.incoming) == [young.name]
