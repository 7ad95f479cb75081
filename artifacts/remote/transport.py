"""Requests to one server: logging in, redirects, time-outs, and bodies that are read piece by piece."""

from __future__ import annotations

import http.client
import json
from contextlib import closing, contextmanager
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Type
from urllib.parse import urljoin, urlsplit

import requests

from artifacts.errors import RegistryMisbehaved, RegistryRefused, RegistryUnreachable
from artifacts.remote.access import PLAIN_HTTP, Access, is_loopback
from artifacts.remote.failures import host_of, translated
from artifacts.remote.job import Clock, Job, Limits, RateWatch, TryAgain, seconds_of
from artifacts.remote.login import MAX_TOKEN_BYTES, Login

CHUNK_BYTES = 1 << 18
_MAX_REDIRECTS = 5
_MAX_ERROR_BYTES = 1 << 14
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429)
# urllib3's root, by the name under which requests imports it.
_URLLIB3: Type[Exception] = requests.exceptions.BaseHTTPError  # type: ignore[attr-defined]
# ValueError: http.client lets it out for a chunk size that is no number.
_NETWORK = (requests.RequestException, _URLLIB3, http.client.HTTPException, OSError, ValueError)
# Docker's own registry answers under another name than the one that people write.
_ALIASES = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_ACCOUNTS = {"docker.io": "index.docker.io"}


class _Session(requests.Session):
    # Even when told not to follow redirects, requests looks where they lead and for that reads their whole body.
    def get_redirect_target(self, resp: requests.Response) -> Optional[str]:
        return None


def _leave_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # Without an `auth` of its own, requests would look into ~/.netrc and overwrite our header.
    return request


class Transport:
    """Requests about one repository of one server.

    Args:
        place: The server as ``host[:port]``.
        repository: The repository there.
        actions: What we may do, ``pull`` or ``pull,push``.
        access: Credentials and trust.
        limits: How patient to be.
        clock: Where time comes from.
    """

    def __init__(self, place: str, repository: str, actions: str, access: Access, limits: Limits, clock: Clock) -> None:
        self.name = f"{place}/{repository}"
        self.job = Job(place, limits, clock)
        self._base = f"{access.scheme_for(place)}://{_ALIASES.get(place, place)}"
        self._top = f"{self._base}/v2/{repository}/"
        self._login = Login(self._base, _ACCOUNTS.get(place, place), f"repository:{repository}:{actions}", access)
        self._verify = True if access.ca_file is None else str(access.ca_file)
        self._session = _Session()
        self._session.auth = _leave_headers
        self._session.headers.update({"User-Agent": "centernet-sophon", "Accept-Encoding": "identity"})
        # A proxy of the environment cannot reach a server on this machine.
        self._session.trust_env = not is_loopback(place)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    @contextmanager
    def ask(
        self,
        method: str,
        target: str,
        headers: Optional[Mapping[str, str]] = None,
        body: Any = None,
        read_s: Optional[float] = None,
    ) -> Iterator[requests.Response]:
        """Send one request; log in when the server wants it, and follow redirects of GET and HEAD.

        Args:
            method: GET, HEAD, POST, PUT.
            target: Path below the repository (``blobs/sha256:..``), or an address that the server gave.
            headers: What to send with it.
            body: Bytes, or a binary file, which is sent from where it stands.
            read_s: Longest wait for the answer; the limits' when None.

        Yields:
            The answer, its body not read. It is none of 401, 403, 408, 425, 429, 5xx and no redirect.

        Raises:
            TryAgain: It may work later.
            RegistryRefused: The credentials are missing, wrong or not enough.
            RegistryUnreachable: It cannot be reached at all, or the deadline has passed.
            RegistryMisbehaved: It redirects to where one must not go.
            CertificateProblem: Its certificate is not acceptable.
        """
        url = urljoin(self._top, target)
        with closing(self._answer(method, url, dict(headers or {}), body, read_s)) as response:
            yield response

    def whole(self, response: requests.Response, most: int) -> bytes:
        """Read a body into memory.

        Args:
            response: The answer.
            most: The most bytes to accept.

        Raises:
            TryAgain: The connection broke, or was too slow.
            RegistryMisbehaved: There are more bytes.
            RegistryUnreachable: The deadline has passed.
        """
        return b"".join(self.pieces(response, most))

    def pieces(self, response: requests.Response, most: int) -> Iterator[bytes]:
        """Read a body as it comes.

        Args:
            response: The answer.
            most: The most bytes to accept.

        Yields:
            At most 256 KiB at a time, never more than `most` together. A body of announced length is whole at the end.

        Raises:
            TryAgain: The connection broke, or was too slow.
            RegistryMisbehaved: There are more bytes.
            RegistryUnreachable: The deadline has passed.
        """
        length, taken, watch = announced(response), 0, RateWatch(self.job)
        host = host_of(response.url)
        if length is not None and length > most:
            raise RegistryMisbehaved(host, f"it would send {length} bytes where at most {most} belong")
        while length is None or taken < length:
            # One more than belongs there tells a body that is too long, where no length was announced.
            piece = _read_some(response, min(CHUNK_BYTES, (most + 1 if length is None else length) - taken))
            if not piece and length is not None:
                reason = f"the connection ended too early, after {taken} of {length} bytes"
                raise TryAgain(RegistryUnreachable(host, reason))
            if not piece:
                return
            taken += len(piece)
            if taken > most:
                raise RegistryMisbehaved(host, f"it sent more than the {most} bytes that belong there")
            watch.note(len(piece))
            yield piece

    def detail(self, response: requests.Response) -> str:
        """Return what the server says about a failure (distribution-spec 1.1, "Error Codes"), or its status alone."""
        try:
            first = json.loads(self.whole(response, _MAX_ERROR_BYTES).decode("utf-8"))["errors"][0]
            text = f"{first.get('code', '')}: {first.get('message', '')}"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, TryAgain, RegistryMisbehaved):
            text = str(response.reason or "")
        safe = "".join(letter for letter in text if letter.isprintable())[:200]
        return f"status {response.status_code} ({safe})"

    def _answer(
        self, method: str, url: str, headers: Dict[str, str], body: Any, read_s: Optional[float]
    ) -> requests.Response:
        start = body.tell() if hasattr(body, "tell") else 0
        response = self._follow(method, url, headers, body, read_s)
        if response.status_code == 401 and self._is_own(response.url):
            # Also in the middle of a job: tokens live for minutes.
            with closing(response):
                self._log_in(response)
            if hasattr(body, "seek"):
                body.seek(start)
            response = self._follow(method, url, headers, body, read_s)
        try:
            self._judge(response)
        except BaseException:
            response.close()
            raise
        return response

    def _judge(self, response: requests.Response) -> None:
        status, host = response.status_code, host_of(response.url)
        own = self._is_own(response.url)
        if status in _PASSING or status >= 500:
            wait = seconds_of(response.headers.get("Retry-After"), self.job.clock.epoch())
            raise TryAgain(RegistryUnreachable(host, f"it answers with {self.detail(response)}"), wait)
        if status in (401, 403) and not own:
            # The address of a redirected download is good for some minutes; asking again gives a fresh one.
            raise TryAgain(RegistryRefused(host, self.detail(response), "The registry sent us there", status))
        if status == 401:
            raise self._login.refused("the user name, the password or the token is wrong, or may not do this", status)
        if status == 403:
            raise self._login.refused(f"this account may not do that, {self.detail(response)}", status)
        if status in _REDIRECTS:
            raise RegistryMisbehaved(host, "it redirects where it should not, or round and round")
        # A server in Go answers plain http itself, without headers and in HTTP/1.0.
        to_tls = status == 400 and own and self._base.startswith("http:") and response.raw.version == 10
        if to_tls and b"HTTPS server" in self._peek(response):
            raise RegistryUnreachable(host, "it speaks https only", f"Set {PLAIN_HTTP}=0")

    def _peek(self, response: requests.Response) -> bytes:
        try:
            return self.whole(response, _MAX_ERROR_BYTES)
        except (TryAgain, RegistryMisbehaved):
            return b""

    def _follow(
        self, method: str, url: str, headers: Dict[str, str], body: Any, read_s: Optional[float]
    ) -> requests.Response:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(method, url, headers, body, read_s)
            where = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or method not in ("GET", "HEAD") or not where:
                return response
            response.close()
            url = self.led_to(url, where)
        return response

    def led_to(self, url: str, where: str) -> str:
        """Return the address that a server sends us to, when it may be asked.

        It must be encrypted, unless the registry itself is not.

        Args:
            url: What was asked.
            where: What the server gave, absolute or relative.

        Raises:
            RegistryMisbehaved: It may not be asked, or is no address.
        """
        try:
            there = urljoin(url, where)
            scheme, host = urlsplit(there).scheme, urlsplit(there).hostname
        except ValueError:
            there = scheme = host = ""
        if scheme not in ("https", urlsplit(self._base).scheme) or not host:
            reason = f"it sends us to {str(host)[:100]!r} by {str(scheme)[:10]!r}"
            raise RegistryMisbehaved(host_of(self._base), reason, "Its owner has to give https addresses")
        return there

    def _is_own(self, url: str) -> bool:
        own, there = urlsplit(self._base), urlsplit(url)
        return (own.scheme, own.netloc) == (there.scheme, there.netloc)

    def _log_in(self, response: requests.Response) -> None:
        request = self._login.wanted(response.headers.get("WWW-Authenticate", ""))
        if request is None:
            return
        with closing(self._send(request.method, request.url, request.headers, request.body, None, own=False)) as answer:
            if answer.status_code in (400, 401, 403, 404):
                raise self._login.refused(f"its login service answers {self.detail(answer)}", answer.status_code)
            self._judge(answer)
            self._login.take(self.whole(answer, MAX_TOKEN_BYTES))

    def _send(
        self, method: str, url: str, headers: Dict[str, str], body: Any, read_s: Optional[float], own: bool = True
    ) -> requests.Response:
        self.job.check()
        limits = self.job.limits
        sent = dict(headers)
        if own and self._login.authorization is not None and self._is_own(url):
            sent["Authorization"] = self._login.authorization
        timeout: Tuple[float, float] = (limits.connect_s, read_s or limits.read_s)
        try:
            return self._session.request(
                method,
                url,
                headers=sent,
                data=body,
                timeout=timeout,
                verify=self._verify,
                stream=True,
                allow_redirects=False,
            )
        except _NETWORK as error:
            raise translated(error, url) from None


def announced(response: requests.Response) -> Optional[int]:
    """Return how many bytes a body has by the server's word, or None when it does not say."""
    text = response.headers.get("Content-Length", "")
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower() or not (text.isascii() and text.isdigit()):
        return None
    return int(text[:18])


def _read_some(response: requests.Response, most: int) -> bytes:
    # `iter_content` and `read` wait for a full chunk, so a byte a minute would keep them for ever. urllib3 1 has no
    # `read1`, the response below it has.
    raw: Any = response.raw
    try:
        if hasattr(raw, "read1"):
            piece: bytes = raw.read1(most, decode_content=False)
        else:
            piece = raw._fp.read1(most)
    except _NETWORK as error:
        raise translated(error, response.url) from None
    return piece
