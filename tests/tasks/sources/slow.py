"""Servers that are never silent, and never done: byte by byte, interim answer after interim answer."""

from __future__ import annotations

from collections.abc import Iterable

from tests.tasks.sources.server import Act, Exchange

EVERY_S = 0.05


def _drip(exchange: Exchange, data: Iterable[bytes]) -> None:
    exchange.close_connection = True
    exchange.wfile.flush()
    for piece in data:
        if exchange.origin.closing.wait(EVERY_S):
            return
        exchange.wfile.write(piece)


def _endless(piece: bytes) -> Iterable[bytes]:
    while True:
        yield piece


def dripping_head(exchange: Exchange, _: bytes) -> None:
    """One byte of a header now and then."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(exchange, _endless(b"x"))


def dripping_status(exchange: Exchange, _: bytes) -> None:
    exchange.wfile.write(b"HTTP/1.1 200 ")
    _drip(exchange, _endless(b"O"))


def endless_head(exchange: Exchange, _: bytes) -> None:
    """One header after the other, as fast as they are taken."""
    exchange.close_connection = True
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not exchange.origin.closing.is_set():
        exchange.wfile.write(b"X-Header: value\r\n" * 1000)


def interim_for_ever(exchange: Exchange, _: bytes) -> None:
    """Interim answers, and never the answer."""
    exchange.close_connection = True
    while not exchange.origin.closing.is_set():
        exchange.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def dripping_chunk_size(exchange: Exchange, content: bytes) -> None:
    """A chunk whose length does not end."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    exchange.wfile.write(b"10\r\n" + content[:16] + b"\r\n10;")
    _drip(exchange, _endless(b"x"))


def dripping_trailer(exchange: Exchange, content: bytes) -> None:
    """All of the body, and then lines without end."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    exchange.wfile.write(b"%x\r\n%s\r\n0\r\n" % (len(content), content))
    _drip(exchange, _endless(b"X: y\r\n"))


HEADS: tuple[Act, ...] = (dripping_head, dripping_status, endless_head, interim_for_ever)
BODIES: tuple[Act, ...] = (dripping_chunk_size, dripping_trailer)
