"""Many files at once: how many at a time, in which order they come back, and what happens when some do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.download import Item, Source, fetch_many
from tasks.errors import DigestMismatch, DigestUnknown, DownloadsFailed, NoSpaceForDownload, SourceMissing
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import QUICK, Waits, names, sha256, source_of

COUNT = 24


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def photo(number: int) -> bytes:
    return o.numbered(5000 + number, seed=number * 10_000)


def offered(origin: o.Origin, folder: Path, count: int = COUNT) -> list[Item]:
    items = []
    for number in range(count):
        url = origin.put(f"/val2017/{number:012}.jpg", photo(number))
        items.append(Item(source=source_of(photo(number), url, name=f"{number}.jpg"), target=folder / f"{number}.jpg"))
    return items


def test_results_come_in_the_order_of_the_list(origin: o.Origin, tmp_path: Path) -> None:
    items = offered(origin, tmp_path)
    fetched = fetch_many(items, options=QUICK)
    assert [one.path for one in fetched] == [item.target for item in items]
    assert [one.digest for one in fetched] == [sha256(photo(number)) for number in range(COUNT)]
    assert fetch_many(items, options=QUICK)[0].mirror is None
    assert len(origin.requests) == COUNT


def test_no_more_files_are_asked_for_at_a_time_than_allowed(origin: o.Origin, tmp_path: Path) -> None:
    items = offered(origin, tmp_path)
    three = threading.Barrier(3)

    def together(exchange: o.Exchange, content: bytes) -> None:
        # Opens only when three are here at once, so that it also shows that they do come side by side.
        three.wait(30)
        o.serve(exchange, content)

    for path in origin.files:
        origin.otherwise[path] = together
    fetch_many(items, connections=3, options=QUICK)
    assert origin.most_busy == 3


def test_files_that_fail_are_listed_and_the_others_are_in_place(origin: o.Origin, tmp_path: Path) -> None:
    items = offered(origin, tmp_path)
    for number in (3, 7, 9, 20):
        del origin.files[f"/val2017/{number:012}.jpg"]
    with pytest.raises(DownloadsFailed, match="4 of 24 downloads failed") as caught:
        fetch_many(items, options=QUICK)
    assert [name for name, _ in caught.value.failures] == ["3.jpg", "7.jpg", "9.jpg", "20.jpg"]
    assert all(isinstance(error, SourceMissing) for _, error in caught.value.failures)
    assert caught.value.not_tried == 0
    assert not caught.value.transient
    assert "3.jpg" in str(caught.value)
    assert "20.jpg" not in str(caught.value)
    assert len(names(tmp_path)) == COUNT - 4


def test_a_list_is_given_up_when_nothing_answers_any_more(tmp_path: Path) -> None:
    with o.running() as gone:
        items = offered(gone, tmp_path, count=60)
    with pytest.raises(DownloadsFailed, match="more were not tried") as caught:
        fetch_many(items, connections=2, options=QUICK, clock=Waits().clock())
    assert caught.value.transient
    assert 40 < caught.value.not_tried < 60
    assert caught.value.not_tried + len(caught.value.failures) == 60
    assert names(tmp_path) == []


def test_a_host_that_was_given_up_once_is_asked_last_for_the_rest(origin: o.Origin, tmp_path: Path) -> None:
    with o.running() as gone:
        dead = gone.url + "/val2017/"
    items = [
        Item(
            source=item.source.model_copy(update={"mirrors": (dead + item.source.name, *item.source.mirrors)}),
            target=item.target,
        )
        for item in offered(origin, tmp_path)
    ]
    waits = Waits()
    fetch_many(items, connections=1, options=QUICK, clock=waits.clock())
    assert len(waits.seconds) == QUICK.attempts - 1


def test_the_same_target_twice_is_refused(origin: o.Origin, tmp_path: Path) -> None:
    items = offered(origin, tmp_path, count=2)
    with pytest.raises(ValueError, match="named more than once"):
        fetch_many([*items, items[0]], options=QUICK)
    assert origin.requests == []


def test_images_without_digests_are_refused_together_before_any_request(origin: o.Origin, tmp_path: Path) -> None:
    items = [
        Item(source=Source(name=item.source.name, mirrors=item.source.mirrors), target=item.target)
        for item in offered(origin, tmp_path)
    ]
    with pytest.raises(DigestUnknown, match=r"0.jpg, 1.jpg, 2.jpg and 21 more") as caught:
        fetch_many(items, options=QUICK)
    assert len(caught.value.names) == COUNT
    assert origin.requests == []


def test_images_recorded_on_first_use_are_enforced_for_the_next_user(origin: o.Origin, tmp_path: Path) -> None:
    items = [
        Item(source=Source(name=item.source.name, mirrors=item.source.mirrors), target=item.target)
        for item in offered(origin, tmp_path / "1")
    ]
    options = QUICK.model_copy(update={"record_first_use": True, "lock_file": tmp_path / "lock.json"})
    first = fetch_many(items, options=options)
    again = [item.model_copy(update={"target": tmp_path / "2" / item.target.name}) for item in items]
    origin.put("/val2017/000000000005.jpg", photo(99))
    with pytest.raises(DownloadsFailed) as caught:
        fetch_many(again, options=options)
    assert [(name, type(error)) for name, error in caught.value.failures] == [("5.jpg", DigestMismatch)]
    assert len(names(tmp_path / "2")) == COUNT - 1
    assert {one.digest for one in first} == {sha256(photo(number)) for number in range(COUNT)}


def test_a_list_that_the_disk_cannot_hold_is_not_begun(origin: o.Origin, tmp_path: Path) -> None:
    items = offered(origin, tmp_path, count=3)
    huge = [item.model_copy(update={"source": item.source.model_copy(update={"size": 1 << 59})}) for item in items]
    with pytest.raises(NoSpaceForDownload) as caught:
        fetch_many(huge, options=QUICK)
    assert caught.value.needed_bytes == 3 << 59
    assert origin.requests == []


def test_an_empty_list_is_done(tmp_path: Path) -> None:
    assert fetch_many([], options=QUICK) == []
