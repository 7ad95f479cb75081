"""Servers that send a byte now and then, for ever: no single wait is long, so that no time-out strikes."""

from __future__ import annotations

import time
from typing import Iterable

import pytest

from artifacts.errors import RegistryUnreachable
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.downloads import BLOB
from tests.artifacts.remote.liar import REPOSITORY, Answer, Handler, Liar, Lie


def dripping(begin: bytes, piece: bytes, pause_s: float = 0.05) -> Lie:
    """Send a beginning, and then a piece now and then."""

    def lie(handler: Handler, answer: Answer) -> None:
        handler.close_connection = True
        handler.wfile.write(begin)
        while not handler.server.over.wait(pause_s):
            handler.wfile.write(piece)

    return lie


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
LIES = {
    "a status without end": dripping(b"HTTP/1.1 200 ", b"O"),
    "a header without end": dripping(HEAD + b"X-Long: ", b"x"),
    "headers without end": dripping(HEAD, b"X-Header: value\r\n" * 10, 0.0),
    "interim answers without end": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
    "a chunk's length without end": dripping(CHUNKED + b"10;", b"x"),
    "a trailer without end": dripping(CHUNKED + b"0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("name", LIES)
def test_it_is_left_in_time_and_asked_again(remote: RemoteRegistry, liar: Liar, name: str) -> None:
    liar.manifests["1.0.0"] = (b"{}", "application/json")
    liar.lies = [LIES[name]]
    started = time.monotonic()
    assert remote.tag_digest("1.0.0") is not None
    assert time.monotonic() - started < 10


def test_it_is_given_up_when_it_goes_on(remote: RemoteRegistry, liar: Liar) -> None:
    liar.always = LIES["a header without end"]
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="kept silent for too long"):
        remote.read(BLOB, BLOB.size)
    assert time.monotonic() - started < 10


def test_a_connection_is_used_again_with_its_whole_time_out(liar: Liar, waits: Waits) -> None:
    liar.manifests["1.0.0"] = (b"{}", "application/json")

    def late(handler: Handler, answer: Answer) -> None:
        time.sleep(0.6)
        handler.send(answer)

    liar.lies = [late, late]
    limits = QUICK.model_copy(update={"read_s": 1.0})
    with RemoteRegistry(liar.place, REPOSITORY, access=Access(), limits=limits, clock=waits.clock()) as registry:
        assert registry.tag_digest("1.0.0") == registry.tag_digest("1.0.0")
    assert waits == []


def words() -> Iterable[str]:
    return ("\u00b2", "9" * 5000, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT")


@pytest.mark.parametrize("word", words(), ids=["superscript", "5000 digits", "a year without end"])
@pytest.mark.parametrize("header", ["Content-Length", "Retry-After", "Content-Range"])
@pytest.mark.parametrize("status", [200, 206, 503])
def test_numbers_that_are_none_are_no_error_of_ours(
    remote: RemoteRegistry, liar: Liar, header: str, word: str, status: int
) -> None:
    def lie(handler: Handler, answer: Answer) -> None:
        handler.close_connection = True
        handler.head(status, {header: word, "Connection": "close"})

    liar.manifests["1.0.0"] = (b"{}", "application/json")
    liar.lies = [lie]
    # Whatever it is taken for, it is said by an error of ours, or asked for again.
    try:
        assert remote.tag_digest("1.0.0") is not None
    except Exception as error:
        assert type(error).__module__.startswith("artifacts.errors"), repr(error)
