from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from tasks.errors import FailureKind, MirrorFailure
from tasks.sources import rules
from tasks.sources.rules import Resume

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110, section 5.6.7.


@pytest.mark.parametrize(
    ("resume", "size", "headers"),
    [
        (Resume(), 10, {}),
        (Resume(have=3), 10, {"Range": "bytes=3-9"}),
        (Resume(have=3), None, {"Range": "bytes=3-"}),
        (Resume(have=3, validator='"v"'), 10, {"Range": "bytes=3-9", "If-Range": '"v"'}),
        (Resume(have=0, validator='"v"'), 10, {}),
    ],
)
def test_a_range_is_asked_for_only_when_resuming(resume: Resume, size: int | None, headers: dict[str, str]) -> None:
    assert rules.request_headers(resume, size) == {"Accept-Encoding": "identity"} | headers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("Sun, 99 Nov 1994", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert rules.retry_after_s(text, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": '"a"', "Last-Modified": "d"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "d"}, "d"),
        ({"ETag": 'W/"a"'}, None),
        ({}, None),
    ],
)
def test_only_a_strong_mark_may_be_put_into_if_range(headers: dict[str, str], mark: str | None) -> None:
    assert rules.validator_of(headers) == mark


@pytest.mark.parametrize(
    "text", ["", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "items 0-1/2", "bytes 0-1", "bytes -1-2/3"]
)
def test_a_content_range_that_makes_no_sense_starts_over(text: str) -> None:
    with pytest.raises(MirrorFailure) as caught:
        rules.content_range({"Content-Range": text})
    assert (caught.value.kind, caught.value.discard) == (FailureKind.PASSING, True)


def test_a_partial_answer_of_unknown_total_is_taken() -> None:
    headers = CaseInsensitiveDict({"content-range": "bytes 3-9/*", "etag": '"v"'})
    body = rules.judge(206, headers, Resume(have=3, validator='"v"'), 10, NOW)
    assert (body.offset, body.total, body.validator) == (3, None, '"v"')


def test_a_range_of_a_file_of_another_length_is_wrong() -> None:
    headers = CaseInsensitiveDict({"content-range": "bytes 3-10/11"})
    with pytest.raises(MirrorFailure) as caught:
        rules.judge(206, headers, Resume(have=3), 10, NOW)
    assert caught.value.kind is FailureKind.WRONG_BYTES


def test_416_to_a_request_without_a_range_is_no_reason_to_ask_again() -> None:
    with pytest.raises(MirrorFailure) as caught:
        rules.judge(416, {}, Resume(), 10, NOW)
    assert caught.value.kind is FailureKind.REFUSED


def test_a_length_beside_chunks_means_nothing() -> None:
    headers = CaseInsensitiveDict({"Transfer-Encoding": "chunked", "Content-Length": "5"})
    body = rules.judge(200, headers, Resume(), 10, NOW)
    assert (body.total, body.ends_by_itself) == (None, True)


@pytest.mark.parametrize(
    ("start", "is_page"), [(b" \n<!DOCTYPE HTML>", True), (b"<html>", True), (b"<svg>", False), (b"\xff\xd8", False)]
)
def test_a_web_page_is_told_by_its_first_bytes(start: bytes, is_page: bool) -> None:
    assert rules.looks_like_html(start) is is_page


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "https://u:p@h/b"),
        ("b", "https://u:p@h/a/b"),
        ("https://x/c?s=1", "https://x/c?s=1"),
        ("//x/c", "https://x/c"),
    ],
)
def test_a_redirect_may_be_relative(location: str, target: str) -> None:
    assert rules.redirected("https://u:p@h/a/", location, downgrade=False) == target


def test_a_redirect_from_https_to_http_needs_a_digest_to_check_by() -> None:
    assert rules.redirected("https://h/a", "http://h/a", downgrade=True) == "http://h/a"
    assert rules.redirected("http://h/a", "http://x/a", downgrade=False) == "http://x/a"
    with pytest.raises(MirrorFailure, match="from https to http"):
        rules.redirected("https://h/a", "http://h/a", downgrade=False)
