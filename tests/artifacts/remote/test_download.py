from __future__ import annotations

import hashlib
import os
import random
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any, List

import pytest

from artifacts.errors import (
    BadDigest,
    NoRoom,
    NoSpace,
    RegistryMisbehaved,
    RegistryRefused,
    RegistryUnreachable,
    StoreNotWritable,
)
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock
from artifacts.store import Blob, ContentStore
from tests.artifacts.processes import all_at_once, killed_after
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.liar import (
    REPOSITORY,
    Liar,
    cut,
    dripping,
    flipped,
    ignoring_ranges,
    in_chunks,
    instead,
    silent,
    unsatisfiable,
    without_length,
)

SIZE = 2_000_003


def content(seed: int, size: int = SIZE) -> bytes:
    # Every place has other bytes, so that a piece in the wrong place shows.
    return b"".join(hashlib.sha256(b"%d %d" % (seed, part)).digest() for part in range(size // 32 + 1))[:size]


DATA = content(1)
BLOB = blob_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


@pytest.fixture(autouse=True)
def there(liar: Liar) -> None:
    liar.put(DATA)


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def nothing_visible(store: ContentStore) -> bool:
    return names(store.root / "blobs" / "sha256") == []


def ranges(liar: Liar) -> List[str]:
    return [one.headers.get("range", "") for one in liar.asked]


def part(store: ContentStore, data: bytes) -> Path:
    store.incoming.mkdir(parents=True)
    path = store.incoming / f"{BLOB.digest[7:]}.part"
    path.write_bytes(data)
    return path


def test_a_blob_is_fetched_once_and_found_afterwards(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    seen: List[int] = []
    path = remote.fetch(BLOB, store, seen.append)
    assert path.read_bytes() == DATA
    assert seen == sorted(seen)
    assert seen[-1] == SIZE
    assert remote.fetch(BLOB, store, seen.append) == path
    assert ranges(liar) == [""]
    assert names(store.incoming) == []


def test_a_blob_damaged_on_the_disk_is_fetched_again(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    path = remote.fetch(BLOB, store)
    path.chmod(0o644)
    path.write_bytes(DATA[:-1] + b"x")
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert len(liar.asked) == 2


def test_an_empty_blob_is_fetched(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    liar.put(b"")
    assert remote.fetch(blob_of(b""), store).read_bytes() == b""


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
    liar.always = dripping
    with pytest.raises(RegistryUnreachable, match=r"bytes a second, less than 4096"):
        remote.fetch(blob_of(content(2)), store) if liar.put(content(2)) else None


def test_a_bit_flipped_on_the_wire_costs_one_more_download(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    liar.lies = [flipped(1_234_567)]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert ranges(liar) == ["", ""]


def test_a_blob_damaged_on_the_server_never_becomes_visible(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    liar.blobs[BLOB.digest] = DATA[:99] + b"!" + DATA[100:]
    with pytest.raises(RegistryMisbehaved, match=r"hash to sha256:"):
        remote.fetch(BLOB, store)
    assert len(liar.asked) == 2
    assert nothing_visible(store)
    assert names(store.incoming) == []


@pytest.mark.parametrize("size", [SIZE - 7, SIZE + 7])
def test_another_length_is_refused_before_the_first_byte(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, size: int
) -> None:
    liar.blobs[BLOB.digest] = content(1, size)
    with pytest.raises(RegistryMisbehaved, match=rf"should have {SIZE} bytes, it would send {size}"):
        remote.fetch(BLOB, store)
    assert len(liar.asked) == 1
    assert nothing_visible(store)


@pytest.mark.parametrize("send", [without_length, in_chunks], ids=["until-closed", "chunked"])
def test_a_body_of_unknown_length_is_bounded_by_the_descriptor(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, send: Any
) -> None:
    liar.lies = [send(lambda body: body)]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    other = content(3)
    liar.put(other)
    liar.lies = [send(lambda body: body + b"more" * 100_000)]
    with pytest.raises(RegistryMisbehaved, match=rf"more than the {SIZE} bytes"):
        remote.fetch(blob_of(other), store)
    assert not store.is_sound(blob_of(other))


@pytest.mark.parametrize("send", [without_length, in_chunks], ids=["until-closed", "chunked"])
def test_a_short_body_of_unknown_length_is_not_taken_for_the_whole(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, send: Any
) -> None:
    liar.always = send(lambda body: body[:1000])
    with pytest.raises(RegistryMisbehaved, match=r"ended after 3000 of 2000003 bytes"):
        remote.fetch(BLOB, store)
    assert nothing_visible(store)


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


def test_a_login_page_is_called_one(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    liar.lies = [instead(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Welcome to the hotel</html>")]
    with pytest.raises(RegistryMisbehaved, match="login page"):
        remote.fetch(BLOB, store)


def test_a_blob_that_is_not_there_is_not_asked_for_again(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    with pytest.raises(RegistryRefused, match="incomplete") as caught:
        remote.fetch(blob_of(b"never pushed"), store)
    assert caught.value.status == 404
    assert len(liar.asked) == 1


def test_the_servers_wish_to_wait_is_granted(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, waits: Waits
) -> None:
    liar.lies = [instead(429, {"Retry-After": "7"}), instead(503, {"Retry-After": "100000"})]
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert waits == [7.0, QUICK.retry_after_cap_s]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(remote: RemoteRegistry, liar: Liar, store: ContentStore, status: int) -> None:
    liar.lies = [instead(status), instead(status)]
    assert remote.fetch(BLOB, store).read_bytes() == DATA


@pytest.mark.parametrize("status", [400, 404, 405, 410])
def test_a_lasting_failure_is_not_tried_again(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, status: int
) -> None:
    liar.lies = [instead(status)]
    with pytest.raises(RegistryRefused):
        remote.fetch(BLOB, store)
    assert len(liar.asked) == 1


def test_the_deadline_ends_a_download_that_would_go_on(liar: Liar, store: ContentStore) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 1
        return now[0]

    limits = QUICK.model_copy(update={"deadline_s": 8.0, "rate_window_s": 1000.0})
    clock = Clock(monotonic=monotonic, sleep=lambda _: None)
    with RemoteRegistry(liar.place, REPOSITORY, access=Access(), limits=limits, clock=clock) as registry:
        with pytest.raises(RegistryUnreachable, match="the time limit of 8 s is over"):
            registry.fetch(BLOB, store)
    assert nothing_visible(store)


def test_a_full_disk_is_seen_before_the_first_byte(
    remote: RemoteRegistry, liar: Liar, store: ContentStore, small_disk: Path
) -> None:
    with pytest.raises(NoRoom) as caught:
        remote.fetch(BLOB, ContentStore(small_disk / "store"))
    assert caught.value.needed == SIZE + QUICK.reserve
    assert liar.asked == []


def test_some_space_stays_free(remote: RemoteRegistry, liar: Liar, small_disk: Path) -> None:
    data = content(4, 1_000_000)
    liar.put(data)
    with pytest.raises(NoRoom):
        remote.fetch(blob_of(data), ContentStore(small_disk / "store"))
    assert liar.asked == []


def test_a_disk_that_fills_meanwhile_keeps_what_came(
    remote: RemoteRegistry, liar: Liar, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ContentStore(small_disk / "store")
    monkeypatch.setattr("artifacts.remote.download.free_bytes", lambda _: None)
    with pytest.raises(NoSpace):
        remote.fetch(BLOB, store)
    assert nothing_visible(store)
    [left] = store.incoming.iterdir()
    assert 0 < left.stat().st_size < SIZE
    assert DATA.startswith(left.read_bytes())


def test_a_digest_that_climbs_out_of_the_store_is_refused(
    remote: RemoteRegistry, liar: Liar, store: ContentStore
) -> None:
    with pytest.raises(BadDigest):
        remote.fetch(Blob.model_construct(digest="sha256:../../../etc/passwd", size=5), store)
    assert liar.asked == []


def test_two_pulls_at_once_download_once(liar: Liar, store: ContentStore) -> None:
    liar.bytes_per_second = 20_000_000

    def pull() -> None:
        with RemoteRegistry(liar.place, REPOSITORY, access=Access()) as registry:
            registry.fetch(BLOB, store)

    assert all_at_once([pull, pull, pull]) == [0, 0, 0]
    assert len(liar.asked) == 1
    assert store.verified(BLOB).read_bytes() == DATA


def test_two_threads_at_once_download_once(liar: Liar, store: ContentStore) -> None:
    liar.bytes_per_second = 20_000_000
    paths: List[Path] = []

    def pull() -> None:
        with RemoteRegistry(liar.place, REPOSITORY, access=Access()) as registry:
            paths.append(registry.fetch(BLOB, store))

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert len(liar.asked) == 1


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
        here = sorted((store.incoming).glob("*.part"))
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


def test_a_read_only_store_says_so(remote: RemoteRegistry, read_only_disk: Path) -> None:
    with pytest.raises(StoreNotWritable):
        remote.fetch(BLOB, ContentStore(read_only_disk / "store"))


def test_parts_that_nobody_finished_are_swept_after_a_week(store: ContentStore) -> None:
    old = part(store, b"old")
    young = old.with_name("b" * 64 + ".part")
    young.write_bytes(b"young")
    os.utime(old, (1, 1))
    assert store.sweep() == [old]
    assert names(store.incoming) == [young.name]
