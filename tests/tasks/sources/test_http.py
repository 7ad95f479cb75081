"""A server that fails in every way we know, and what is downloaded from it all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.download import Options, Source, fetch
from tasks.errors import DigestMismatch, DownloadStopped, FailureKind, SourceMissing, SourceUnavailable
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import HASTY, QUICK, Waits, names, sha256, source_of

SIZE = 300_001
CONTENT = o.numbered(SIZE)
CHANGED = o.numbered(SIZE, seed=7_000_000)


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


@pytest.mark.parametrize(
    "fault",
    [o.cut(100_003), o.reset(100_003), o.stall(100_003), o.cut(100_003, o.serve_unmarked), o.broken_chunks],
    ids=["cut", "reset", "stall", "cut, no validator", "broken chunks"],
)
def test_a_truncated_download_resumes_where_it_stopped(origin: o.Origin, tmp_path: Path, fault: o.Act) -> None:
    url = origin.put("/a.pth", CONTENT, fault)
    fetched = fetch(source_of(CONTENT, url), tmp_path / "a.pth", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    assert (fetched.digest, fetched.size, fetched.mirror) == (sha256(CONTENT), SIZE, url)
    first, second = origin.requests
    resumed_at = SIZE - second.sent
    assert 0 < resumed_at <= 100_003
    assert (first.headers.get("Range"), second.headers["Range"]) == (None, f"bytes={resumed_at}-{SIZE - 1}")
    assert second.status == 206
    assert names(tmp_path) == ["a.pth"]


def test_a_server_that_sends_a_byte_now_and_then_is_dropped(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.drip(50_000))
    options = QUICK.model_copy(update={"min_rate": 10_000, "rate_window_s": 0.2})
    clock = Waits().clock(monotonic=time.monotonic)
    fetch(source_of(CONTENT, url), tmp_path / "a", options=options, clock=clock)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert origin.requests[0].sent < 60_000
    assert origin.requests[1].status == 206


def test_without_a_known_size_a_range_is_left_open_and_the_announced_length_judges(
    origin: o.Origin, tmp_path: Path
) -> None:
    url = origin.put("/a", CONTENT, o.cut(1000))
    fetch(source_of(CONTENT, url, size=False), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert origin.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("act", [o.chunked, o.close_delimited])
def test_a_body_without_a_length_is_taken_when_the_digest_is_known(
    origin: o.Origin, tmp_path: Path, act: o.Act
) -> None:
    url = origin.put("/a", CONTENT, act)
    assert fetch(source_of(CONTENT, url, size=False), tmp_path / "a", options=QUICK).size == SIZE


def test_a_connection_that_dies_every_so_often_does_not_use_up_the_tries(origin: o.Origin, tmp_path: Path) -> None:
    content = o.numbered(6 << 20)
    url = origin.put("/a", content, otherwise=o.cut(1 << 20))
    options = QUICK.model_copy(update={"attempts": 2})
    fetch(source_of(content, url), tmp_path / "a", options=options, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == content
    assert origin.sent == len(content)


def test_a_server_that_always_starts_over_and_never_ends_is_given_up(origin: o.Origin, tmp_path: Path) -> None:
    content = o.numbered(4 << 20)

    def short(exchange: o.Exchange, body: bytes) -> None:
        del exchange.headers["Range"]
        o.cut(3 << 20)(exchange, body)

    url = origin.put("/a", content, otherwise=short)
    with pytest.raises(SourceUnavailable) as caught:
        fetch(source_of(content, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert len(origin.requests) == 1 + QUICK.attempts
    assert caught.value.transient
    assert names(tmp_path) == ["a.part", "a.part.meta"]


def test_a_whole_file_in_answer_to_a_range_starts_over(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(1000), o.no_ranges)
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [request.status for request in origin.requests] == [200, 200]


def test_a_range_that_the_server_cannot_satisfy_starts_over(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(1000), o.status(416))
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert origin.ranges == [None, f"bytes=1000-{SIZE - 1}", None]


def test_bytes_from_another_offset_than_asked_for_start_over(origin: o.Origin, tmp_path: Path) -> None:
    def shifted(exchange: o.Exchange, content: bytes) -> None:
        exchange.head(206, {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}", "Content-Length": str(SIZE)})
        exchange.body(content)

    url = origin.put("/a", CONTENT, o.cut(1000), shifted)
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert origin.ranges == [None, f"bytes=1000-{SIZE - 1}", None]


@pytest.mark.parametrize(
    ("before", "after", "statuses"),
    [
        (o.cut(1000), o.serve, [200, 200]),
        (o.cut(1000), o.serve_ignoring_if_range, [200, 206, 200]),
        (o.cut(1000, o.serve_unmarked), o.serve_unmarked, [200, 206, 200]),
    ],
    ids=["If-Range", "If-Range ignored", "no validator"],
)
def test_content_that_changes_between_two_ranges_starts_over(
    origin: o.Origin, tmp_path: Path, before: o.Act, after: o.Act, statuses: list[int]
) -> None:
    url = origin.put("/a", CONTENT, before, o.other(CHANGED, after))
    fetch(source_of(CHANGED, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CHANGED
    assert [request.status for request in origin.requests] == statuses


def test_a_missing_file_is_asked_for_once(origin: o.Origin, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="404 Not Found") as caught:
        fetch(source_of(CONTENT, origin.url + "/none"), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 1
    assert not caught.value.transient
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_status_that_may_pass_is_tried_again_with_growing_waits(origin: o.Origin, tmp_path: Path, code: int) -> None:
    url = origin.put("/a", CONTENT, o.status(code), o.status(code), o.status(code))
    waits = Waits()
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=waits.clock())
    assert waits.seconds == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("code", [400, 401, 403, 405, 451])
def test_a_status_that_will_not_pass_is_not_tried_again(origin: o.Origin, tmp_path: Path, code: int) -> None:
    with pytest.raises(SourceUnavailable, match=str(code)):
        fetch(source_of(CONTENT, origin.put("/a", CONTENT, o.status(code))), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 1


def test_the_wait_that_a_server_asks_for_is_respected_up_to_a_cap(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.status(429, {"Retry-After": "17"}), o.status(503, {"Retry-After": "86400"}))
    waits = Waits()
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=waits.clock())
    assert waits.seconds == [17.0, QUICK.retry_after_cap_s]


def test_a_wait_that_would_pass_the_deadline_ends_the_download_at_once(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(1000), o.status(503, {"Retry-After": "60"}))
    waits = Waits()
    options = QUICK.model_copy(update={"deadline_s": 30.0})
    with pytest.raises(DownloadStopped, match="time limit of 30 s") as caught:
        fetch(source_of(CONTENT, url), tmp_path / "a", options=options, clock=waits.clock())
    assert caught.value.transient
    assert waits.seconds == [1.0]
    assert (tmp_path / "a.part").stat().st_size == 1000


def test_a_redirect_is_followed_and_keeps_the_range(origin: o.Origin, tmp_path: Path) -> None:
    origin.put("/there", CONTENT, o.cut(1000))
    url = origin.put("/here", b"", otherwise=o.redirect("/there"))
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert origin.ranges == [None, None, f"bytes=1000-{SIZE - 1}", f"bytes=1000-{SIZE - 1}"]


def test_a_redirect_loop_ends(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", b"", otherwise=o.redirect("/a"))
    with pytest.raises(SourceUnavailable, match="more than 5 times"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 6


def test_the_body_of_a_redirect_is_not_waited_for(origin: o.Origin, tmp_path: Path) -> None:
    def endless(exchange: o.Exchange, _: bytes) -> None:
        exchange.head(302, {"Location": "/there", "Content-Length": "1000000"})
        exchange.origin.closing.wait(30)

    origin.put("/there", CONTENT)
    url = origin.put("/here", b"", endless)
    waits = Waits()
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=waits.clock())
    assert waits.seconds == []


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("file:///etc/passwd", "redirected to file:"),
        ("ftp://127.0.0.1/a", "redirected to ftp:"),
        ("http://[", "no address"),
        ("http://:0/", "not an address"),
    ],
)
def test_a_redirect_to_anything_but_http_is_refused(origin: o.Origin, tmp_path: Path, to: str, reason: str) -> None:
    url = origin.put("/a", b"", otherwise=o.redirect(to))
    with pytest.raises(SourceUnavailable, match=reason) as caught:
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert [failure.kind for failure in caught.value.failures] == [FailureKind.REFUSED]


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("act", [o.page, o.page_without_length])
def test_a_login_page_with_status_200_is_not_taken_for_the_file(
    origin: o.Origin, tmp_path: Path, act: o.Act, size: bool
) -> None:
    url = origin.put("/a", CONTENT, otherwise=act)
    with pytest.raises(DigestMismatch, match=r"web page|bytes where"):
        fetch(source_of(CONTENT, url, size=size), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 1
    assert names(tmp_path) == []


def test_another_length_than_expected_is_refused_before_the_body(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT + b"more")
    with pytest.raises(DigestMismatch, match="300,005 bytes where 300,001 are expected"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert names(tmp_path) == []


@pytest.mark.parametrize("extra", [1, 100_000])
@pytest.mark.parametrize("act", [o.chunked, o.close_delimited])
def test_more_bytes_than_declared_are_refused(origin: o.Origin, tmp_path: Path, act: o.Act, extra: int) -> None:
    url = origin.put("/a", CONTENT + b"x" * extra, otherwise=act)
    with pytest.raises(DigestMismatch, match="more than 300,001 bytes"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert names(tmp_path) == []


def test_more_bytes_after_the_very_end_are_refused(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, otherwise=o.chunked_and_more)
    with pytest.raises(DigestMismatch, match="more than 300,001 bytes"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)


def test_a_server_that_gives_less_than_asked_for_is_asked_for_the_rest(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(1000), o.at_most(2000))
    fetch(source_of(CONTENT, url, size=False), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert origin.ranges == [None, "bytes=1000-", "bytes=3000-"]


def test_a_body_without_an_end_is_bounded(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.chunked)
    source = Source(name="a", mirrors=(url,), digest=sha256(CONTENT))
    with pytest.raises(DigestMismatch, match="more than 1,000 bytes"):
        fetch(source, tmp_path / "a", options=QUICK.model_copy(update={"max_bytes": 1000}))


def test_a_compressed_answer_is_judged_as_it_came(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, otherwise=o.gzipped)
    with pytest.raises(DigestMismatch, match="encoded as gzip"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert origin.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_cut_body_is_not_taken_for_whole_when_nothing_but_the_connection_ends_it(
    origin: o.Origin, tmp_path: Path
) -> None:
    url = origin.put("/a", CONTENT, otherwise=o.close_delimited)
    options = Options(record_first_use=True, lock_file=tmp_path / "lock.json", progress=False)
    with pytest.raises(SourceUnavailable, match="does not say where the file ends"):
        fetch(Source(name="a", mirrors=(url,)), tmp_path / "a", options=options)


def test_a_name_that_no_network_knows_is_tried_again_and_then_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="broke the connection") as caught:
        fetch(source_of(CONTENT, "http://no-such-host.invalid/a"), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert caught.value.transient


def test_nobody_listening_is_tried_again_and_then_said(tmp_path: Path) -> None:
    with o.running() as gone:
        url = gone.url + "/a"
    with pytest.raises(SourceUnavailable, match="Connection refused") as caught:
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=(waits := Waits()).clock())
    assert caught.value.transient
    assert len(waits.seconds) == QUICK.attempts - 1
