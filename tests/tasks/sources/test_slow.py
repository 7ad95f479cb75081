"""Servers that never trip a time-out of the network, and pages in answer to a range."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.download import fetch
from tasks.errors import DownloadError, SourceUnavailable
from tests.tasks.sources import origin as o
from tests.tasks.sources import slow
from tests.tasks.sources.support import HASTY, Waits, names, source_of

SIZE = 300_001
CONTENT = o.numbered(SIZE)


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def named(act: o.Act) -> str:
    return act.__name__


@pytest.mark.parametrize("act", [*slow.HEADS, *slow.BODIES], ids=named)
def test_a_server_that_is_never_done_is_left_in_time_and_asked_again(
    act: o.Act, origin: o.Origin, tmp_path: Path
) -> None:
    url = origin.put("/a", CONTENT, act)
    started = time.monotonic()
    fetch(source_of(CONTENT, url), tmp_path / "a", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT and names(tmp_path) == ["a"]
    assert time.monotonic() - started < 10


def test_a_server_that_is_always_like_that_is_given_up(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, otherwise=slow.dripping_head)
    options = HASTY.model_copy(update={"attempts": 2})
    with pytest.raises(SourceUnavailable, match="was silent for 1 s"):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=options, clock=Waits().clock())


@pytest.mark.parametrize("act", [o.page, o.page_without_length], ids=named)
@pytest.mark.parametrize("size", [True, False])
def test_a_login_page_in_answer_to_a_range_costs_nothing_that_came(
    act: o.Act, size: bool, origin: o.Origin, tmp_path: Path
) -> None:
    url = origin.put("/a", CONTENT, o.cut(200_000), act)
    with pytest.raises(DownloadError, match="web page"):
        fetch(source_of(CONTENT, url, size=size), tmp_path / "a", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a.part").stat().st_size == 200_000
    fetch(source_of(CONTENT, url, size=size), tmp_path / "a", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert origin.requests[-1].headers["Range"].startswith("bytes=200000-")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "9" * 5000},
        {"Content-Length": "\u00b2"},
        {"Retry-After": "\u00b2"},
        {"Retry-After": "9" * 5000},
        {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"},
        {"Content-Range": f"bytes 0-{'9' * 5000}/{'9' * 5001}"},
    ],
    ids=lambda headers: " ".join(f"{name} {value[:12]}" for name, value in headers.items()),
)
@pytest.mark.parametrize("code", [200, 206, 503])
def test_numbers_that_are_none_are_no_error_of_ours(
    code: int, headers: dict[str, str], origin: o.Origin, tmp_path: Path
) -> None:
    def act(exchange: o.Exchange, _: bytes) -> None:
        exchange.head(code, {"Connection": "close", **headers})
        exchange.close_connection = True

    url = origin.put("/a", CONTENT, o.cut(1000), act)
    fetch(source_of(CONTENT, url), tmp_path / "a", options=HASTY, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
