"""What HTTP allows us to believe: rules over statuses and headers, without any network.

Cites RFC 9110 (HTTP Semantics): section 13.1.5 If-Range, 14 Range Requests, 15 status codes, 10.2.3 Retry-After.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict

from tasks.errors import FailureKind, MirrorFailure

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_MISSING = frozenset({404, 410})
_FIRST_SERVER_ERROR = 500
# No longer than a number of bytes can be: of more than 4300 digits Python makes none.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Resume(BaseModel):
    """What is here already, and by what mark the same mirror knows the version that it came from."""

    model_config = ConfigDict(frozen=True)

    have: int = 0
    validator: str | None = None


class Body(BaseModel):
    """A body worth reading.

    Attributes:
        offset: Where its first byte belongs.
        total: Length of the whole file as announced; None when it is not.
        validator: Mark of this version, usable in If-Range.
        ends_by_itself: Its end can be told from a cut connection.
        note: What is odd about it, for messages.
    """

    model_config = ConfigDict(frozen=True)

    offset: int
    total: int | None
    validator: str | None
    ends_by_itself: bool
    note: str = ""


def request_headers(resume: Resume, size: int | None) -> dict[str, str]:
    """Return the headers of a request for what is missing.

    Args:
        resume: What is here.
        size: Length of the whole file in bytes, where known.
    """
    # A compressed answer would have other offsets than the file.
    headers = {"Accept-Encoding": "identity"}
    if resume.have:
        # Closed where the size is known: some servers answer 416 to an open range.
        last = "" if size is None else str(size - 1)
        headers["Range"] = f"bytes={resume.have}-{last}"
        if resume.validator:
            headers["If-Range"] = resume.validator
    return headers


def judge(status: int, headers: Mapping[str, str], resume: Resume, size: int | None, now: float) -> Body:
    """Decide what an answer is worth.

    Args:
        status: Its status.
        headers: Its headers; looked up without regard to case.
        resume: What the request said was here.
        size: Length of the whole file in bytes, where known.
        now: Seconds since the epoch, for a Retry-After that is a date.

    Returns:
        Where its body belongs.

    Raises:
        MirrorFailure: It is an error, or it contradicts what is known.
    """
    refuse_error(status, headers, now, resume.have)
    body = _partial(headers, resume) if status == HTTPStatus.PARTIAL_CONTENT else _whole(headers)
    if size is not None and body.total is not None and body.total != size:
        page = "; it is a web page, such as a login page" if "html" in headers.get("Content-Type", "").lower() else ""
        # What is here already is kept where the whole file was sent in place of a range: that may be anything.
        partial = status == HTTPStatus.PARTIAL_CONTENT
        reason = f"has {body.total:,} bytes where {size:,} are expected{body.note}{page}"
        raise MirrorFailure(FailureKind.WRONG_BYTES, reason, discard=partial)
    return body


def refuse_error(status: int, headers: Mapping[str, str], now: float, have: int = 0) -> None:
    """Refuse every status but 200 and 206.

    Args:
        status: The status of an answer.
        headers: Its headers.
        now: Seconds since the epoch.
        have: The offset that was asked for.

    Raises:
        MirrorFailure: The status is another; passing for 408, 425, 429, 5xx, and for 416 to an offset.
    """
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    reason = f"answered {status} {_phrase(status)}".rstrip()
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
        raise MirrorFailure(FailureKind.PASSING, f"{reason} to a range from {have:,}", discard=True)
    if status in _PASSING or status >= _FIRST_SERVER_ERROR:
        wait = retry_after_s(headers.get("Retry-After"), now)
        raise MirrorFailure(FailureKind.PASSING, reason, retry_after_s=wait)
    raise MirrorFailure(FailureKind.MISSING if status in _MISSING else FailureKind.REFUSED, reason)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _whole(headers: Mapping[str, str]) -> Body:
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    length = headers.get("Content-Length", "").strip()
    total = int(length) if _LENGTH.fullmatch(length) and not chunked else None
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    # The bytes are taken as they come: a file that is compressed itself is often labelled so. The digest decides.
    note = "" if encoding == "identity" else f" (it came encoded as {encoding}, which was not asked for)"
    return Body(
        offset=0, total=total, validator=validator_of(headers), ends_by_itself=chunked or total is not None, note=note
    )


def _partial(headers: Mapping[str, str], resume: Resume) -> Body:
    first, _, total = content_range(headers)
    if first != resume.have:
        reason = f"sent bytes from {first:,} where those from {resume.have:,} were asked for"
        raise MirrorFailure(FailureKind.PASSING, reason, discard=True)
    validator = validator_of(headers)
    # A server that does not know If-Range answers 206 with the new version's bytes.
    if resume.validator and validator and validator != resume.validator:
        raise MirrorFailure(FailureKind.PASSING, "changed the file between two requests", discard=True)
    return Body(offset=first, total=total, validator=validator or resume.validator, ends_by_itself=True)


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int | None]:
    """Return first byte, last byte and total length (None for `*`) of a 206 answer.

    Raises:
        MirrorFailure: The header is missing or makes no sense.
    """
    text = headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is not None:
        first, last, total = int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])
        if first <= last and (total is None or last < total):
            return first, last, total
    reason = f"answered 206 with the range {text[:80]!r}, which makes no sense"
    raise MirrorFailure(FailureKind.PASSING, reason, discard=True)


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Return the mark that If-Range may carry: a strong ETag, else the date of the last change, else None."""
    etag = headers.get("ETag", "").strip()
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified", "").strip() or None


def retry_after_s(text: str | None, now: float) -> float | None:
    """Read Retry-After: seconds, or a date.

    Args:
        text: The header, if any.
        now: Seconds since the epoch.

    Returns:
        Seconds to wait, at least 0; None when the header is missing or cannot be read.
    """
    if not text:
        return None
    if _LENGTH.fullmatch(text.strip()):
        return float(text.strip())
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def redirected(url: str, location: str, downgrade: bool) -> str:
    """Return where a redirect leads.

    Args:
        url: What was asked for.
        location: The answer's Location.
        downgrade: Whether it may lead from https to http.

    Raises:
        MirrorFailure: It leads nowhere, to another scheme, or to http where that is not allowed.
    """
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme.lower()
    except ValueError:
        raise MirrorFailure(FailureKind.REFUSED, "redirected to what is no address") from None
    if scheme not in ("http", "https"):
        raise MirrorFailure(FailureKind.REFUSED, f"redirected to {scheme}:, which is not http or https")
    if scheme == "http" and url.lower().startswith("https:") and not downgrade:
        raise MirrorFailure(FailureKind.REFUSED, "redirected from https to http, and no digest is known to check by")
    return target


def looks_like_html(start: bytes) -> bool:
    """Tell a web page, such as a login or an error page, by its first bytes."""
    return start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))
