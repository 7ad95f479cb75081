"""One try of one http or https mirror: ask for what is missing, and take it chunk by chunk."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3

from tasks.errors import FailureKind, MirrorFailure
from tasks.sources import rules
from tasks.sources.model import Expected
from tasks.sources.pace import Job, RateWatch
from tasks.sources.part import Part, check_room

CHUNK = 1 << 18

# ValueError: http.client lets it out for a chunk size that is no number.
_NETWORK = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationValueError,
)


def download(url: str, part: Part, job: Job) -> None:
    """Add to a partial file what it lacks, in one request.

    Args:
        url: The mirror's address.
        part: The partial file; complete afterwards as far as the server's word goes, not verified.
        job: Limits, connections, progress.

    Raises:
        MirrorFailure: The server failed, refused, or sent what cannot be right.
        DownloadStopped: The deadline passed, or the job was called off.
        NoSpaceForDownload: The disk cannot hold the file.
        TargetUnusable: The partial file cannot be written.
    """
    size = part.expected.size
    resume = part.resume_at(url)
    # An empty range would be asked for otherwise, which some servers answer wrongly.
    if size is not None and resume.have == size:
        return
    check_room(part.path, (size or 0) - resume.have, job.options.reserve)
    try:
        with ask(url, rules.request_headers(resume, size), part.expected.digest is not None, job) as response:
            body = rules.judge(response.status_code, response.headers, resume, size, job.clock.epoch())
            total = size if body.total is None else body.total
            _refuse_unbounded(body, part.expected, job)
            check_room(part.path, (total or 0) - body.offset, job.options.reserve)
            # Before what is here is given up for it: a login page in answer to a range must not cost all that came.
            start = read_chunk(response, CHUNK, job)
            _refuse_page(start, body, part)
            part.accept(url, body.offset, body.validator)
            job.meter.begin(body.offset, total)
            _receive(response, start, part, total, job)
            if total is not None and part.have < total:
                reason = f"ended after {part.have:,} of {total:,} bytes{body.note}"
                raise MirrorFailure(FailureKind.PASSING, reason)
    except MirrorFailure as failure:
        if failure.discard:
            part.restart()
        raise


def _refuse_unbounded(body: rules.Body, expected: Expected, job: Job) -> None:
    most = job.options.max_bytes
    if expected.size is None and body.total is not None and body.total > most:
        raise MirrorFailure(FailureKind.REFUSED, f"has {body.total:,} bytes, more than max_bytes={most:,}")
    if expected.digest is None and not body.ends_by_itself:
        raise MirrorFailure(FailureKind.REFUSED, "does not say where the file ends, and no digest is known that would")
    if expected.digest is None and body.note:
        raise MirrorFailure(FailureKind.REFUSED, f"sent no plain bytes{body.note}")


def _refuse_page(start: bytes, body: rules.Body, part: Part) -> None:
    wants_html = part.target.suffix.lower() in (".html", ".htm")
    if body.offset == 0 and not wants_html and rules.looks_like_html(start):
        raise MirrorFailure(FailureKind.WRONG_BYTES, "sent a web page, such as a login page")


def _receive(response: requests.Response, chunk: bytes, part: Part, total: int | None, job: Job) -> None:
    limit = job.options.max_bytes if total is None else total
    watch = RateWatch(job.options.min_rate, job.options.rate_window_s, job.clock.monotonic())
    while part.have < limit:
        job.check()
        if not chunk:
            return
        if part.have + len(chunk) > limit:
            raise _too_long(limit)
        part.write(chunk)
        job.meter.advance(len(chunk))
        watch.note(len(chunk), job.clock.monotonic())
        chunk = read_chunk(response, CHUNK, job) if part.have < limit else b""
    if _has_more(response, job):
        raise _too_long(limit)


def _too_long(limit: int) -> MirrorFailure:
    return MirrorFailure(FailureKind.WRONG_BYTES, f"sent more than {limit:,} bytes", discard=True)


def _has_more(response: requests.Response, job: Job) -> bool:
    # Where the length was announced this does not touch the network. Elsewhere a silent end is as good as a clean one:
    # all bytes are here, and the digest will judge them.
    try:
        return bool(read_chunk(response, 1, job))
    except MirrorFailure:
        return False


def read_chunk(response: requests.Response, most: int, job: Job) -> bytes:
    """Read what the network has, up to a limit, without waiting for all of it.

    Args:
        response: A streamed answer.
        most: Most bytes to return.
        job: Its options name the time-out in messages.

    Returns:
        Bytes as they came, not decoded; none at the end.

    Raises:
        MirrorFailure: The connection broke or fell silent.
    """
    # `iter_content` would decode, and would sit waiting for a full chunk while a byte a minute keeps the socket alive.
    try:
        chunk: bytes = response.raw.read1(most, decode_content=False)
    except _NETWORK as error:
        raise translated(error, job) from None
    return chunk


@contextmanager
def ask(url: str, headers: dict[str, str], downgrade: bool, job: Job) -> Iterator[requests.Response]:
    """Send a request, and again where it is redirected to.

    Redirects are followed here, as `requests` would read the whole body of each, however long, and go from https to
    http without asking.

    Args:
        url: Where to.
        headers: Of each request.
        downgrade: Whether a redirect may lead from https to http.
        job: Limits and connections.

    Yields:
        The first answer that is no redirect; its body is not read yet.

    Raises:
        MirrorFailure: No connection, or redirects that lead nowhere.
    """
    for _ in range(job.options.max_redirects + 1):
        job.check()
        with _get(url, headers, job) as response:
            location = response.headers.get("Location")
            if response.status_code not in rules.REDIRECTS or location is None:
                yield response
                return
            url = rules.redirected(url, location, downgrade)
    raise MirrorFailure(FailureKind.REFUSED, f"redirected more than {job.options.max_redirects} times")


def _get(url: str, headers: dict[str, str], job: Job) -> requests.Response:
    timeout = (job.options.connect_timeout_s, job.options.read_timeout_s)
    try:
        return job.session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=timeout)
    except _NETWORK as error:
        raise translated(error, job) from None


def translated(error: BaseException, job: Job) -> MirrorFailure:
    """Turn what the network libraries raise into a failure of ours.

    Their own text holds the address with its query, so nothing of it is repeated; raise the result `from None`.

    Args:
        error: What was raised.
        job: Its options hold the time-outs.
    """
    options, root = job.options, _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return MirrorFailure(FailureKind.REFUSED, f"showed a certificate that is not trusted ({root.verify_message})")
    if isinstance(error, requests.ConnectTimeout):
        return MirrorFailure(FailureKind.PASSING, f"gave no connection within {options.connect_timeout_s:g} s")
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return MirrorFailure(FailureKind.PASSING, f"was silent for {options.read_timeout_s:g} s")
    if isinstance(error, _BAD_ADDRESS):
        return MirrorFailure(FailureKind.REFUSED, "is not an address that can be asked")
    why = root.strerror if isinstance(root, OSError) and root.strerror else type(root).__name__
    return MirrorFailure(FailureKind.PASSING, f"broke the connection ({why})")


def _root(error: BaseException) -> BaseException:
    # The libraries wrap each other's errors as arguments and as contexts; what the system said is innermost.
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *getattr(error, "args", ())]
        for candidate in inner:
            if isinstance(candidate, BaseException) and id(candidate) not in seen:
                error = candidate
                break
    return error
