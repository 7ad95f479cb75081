"""`artifacts.remote`: all that a server says, headers and bodies alike, without a network.

The input is what comes through one connection after the other, parted by a line of dashes.
"""

from __future__ import annotations

import http.client
import io
import shutil
from collections.abc import Iterator
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter

from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock, Limits
from artifacts.store import Blob, ContentStore
from tests.fuzz.places import scratch

_BREAK = b"\n-----\n"
_CONTENT = b"content " * 8
_BLOB = Blob(digest=digest_bytes(_CONTENT), size=len(_CONTENT))


class _Wire:
    """A socket that gives some bytes and takes any."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


class _Answers(BaseAdapter):
    """Gives one piece of the input after the other, whatever is asked."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._left = data.split(_BREAK)[::-1]

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        if not self._left:
            raise requests.ConnectionError("nothing is left")
        below = http.client.HTTPResponse(_Wire(self._left.pop()), method=request.method)  # type: ignore[arg-type]
        below.begin()
        raw = urllib3.HTTPResponse(
            body=below,
            headers=urllib3.HTTPHeaderDict(below.msg.items()),
            status=below.status,
            version=below.version,
            reason=below.reason,
            preload_content=False,
            original_response=below,
            request_method=request.method,
        )
        response = requests.Response()
        response.status_code, response.raw, response.url = below.status, raw, str(request.url)
        response.headers = requests.structures.CaseInsensitiveDict(raw.headers)
        response.request, response.reason = request, below.reason
        return response

    def close(self) -> None:
        """Nothing is open."""


def target(data: bytes) -> None:
    """Resolve, list and fetch."""
    store = ContentStore(scratch() / "pulled")
    now = [0.0]

    def sleep(seconds: float) -> None:
        assert 0 <= seconds <= 200
        now[0] += seconds

    clock = Clock(monotonic=lambda: now[0], epoch=lambda: 0.0, sleep=sleep, jitter=lambda: 0.5)
    limits = Limits(attempts=2, deadline_s=600, reserve=0)
    for ask in (
        lambda one: one.resolve("latest"),
        lambda one: one.tags(),
        lambda one: one.has_moved("latest", _BLOB.digest),
        lambda one: one.read(_BLOB, 1000),
        lambda one: one.fetch(_BLOB, store),
    ):
        registry = RemoteRegistry("registry.example.com", "m/c", access=Access(), limits=limits, clock=clock)
        answers = _Answers(data)
        for scheme in ("http://", "https://"):
            registry.transport._session.mount(scheme, answers)
        registry.transport._session.trust_env = False
        try:
            ask(registry)
        except ArtifactError:
            continue
        finally:
            registry.close()
    shutil.rmtree(store.root, ignore_errors=True)


def seeds() -> Iterator[bytes]:
    """Sound conversations, and some that go wrong in the known ways."""

    def answer(head: bytes, body: bytes = b"", length: bool = True) -> bytes:
        size = b"Content-Length: %d\r\n" % len(body) if length else b""
        return b"HTTP/1.1 " + head + b"\r\n" + size + b"\r\n" + body

    index = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    yield answer(b"200 OK\r\nDocker-Content-Digest: " + digest_bytes(index).encode(), index)
    wants = answer(b'401 Unauthorized\r\nWWW-Authenticate: Bearer realm="https://auth.example.com/t",service="s"')
    yield _BREAK.join([wants, answer(b"200 OK", b'{"token":"abc"}'), answer(b"200 OK", index)])
    page = b'200 OK\r\nLink: </v2/m/c/tags/list?n=1000&last=b>; rel="next"'
    yield _BREAK.join([answer(page, b'{"tags":["a","b"]}'), answer(b"200 OK", b'{"tags":["c"]}')])
    yield answer(b"200 OK", _CONTENT)
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + _CONTENT[:40]
    rest = answer(b"206 Partial Content\r\nContent-Range: bytes 40-63/64", _CONTENT[40:])
    yield _BREAK.join([cut, rest])
    yield _BREAK.join(
        [answer(b"307 Temporary\r\nLocation: https://cdn.example.com/x?sig=1"), answer(b"200 OK", _CONTENT)]
    )
    yield _BREAK.join(
        [answer(b"429 Too Many\r\nRetry-After: 7"), answer(b"503 No\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT")]
    )
    yield answer(b"400 Bad", b'{"errors":[{"code":"DENIED","message":"no"}]}')
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"40\r\n" + _CONTENT + b"\r\n0\r\n\r\n"
