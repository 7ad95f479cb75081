from __future__ import annotations

import threading
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
from tests.artifacts.damage import damage
from tests.artifacts.processes import all_at_once
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.downloads import BLOB, DATA, SIZE, content, names, nothing_visible, ranges
from tests.artifacts.remote.liar import REPOSITORY, Liar, instead
from tests.artifacts.remote.lies import (
    flipped,
    in_chunks,
    without_length,
)

pytestmark = pytest.mark.usefixtures("data_there")


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
    damage(path, DATA[:-1] + b"x")
    assert remote.fetch(BLOB, store).read_bytes() == DATA
    assert len(liar.asked) == 2


def test_an_empty_blob_is_fetched(remote: RemoteRegistry, liar: Liar, store: ContentStore) -> None:
    liar.put(b"")
    assert remote.fetch(blob_of(b""), store).read_bytes() == b""


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


def test_a_read_only_store_says_so(remote: RemoteRegistry, read_only_disk: Path) -> None:
    with pytest.raises(StoreNotWritable):
        remote.fetch(BLOB, ContentStore(read_only_disk / "store"))
