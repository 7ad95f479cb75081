"""What a server may do to a request, well or badly."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
import struct
from contextlib import AbstractContextManager

from tests.tasks.sources.server import PIECE, Act, Exchange, Origin, numbered, running_with

__all__ = ["Act", "Exchange", "Origin", "numbered"]


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def _plan(exchange: Exchange, content: bytes, mark: str | None) -> tuple[int, dict[str, str], bytes]:
    headers = {} if mark is None else {"ETag": mark}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.headers.get("Range", ""))
    condition = exchange.headers.get("If-Range")
    if asked is None or (condition is not None and condition != mark):
        return 200, headers | {"Content-Length": str(len(content))}, content
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    if first >= len(content):
        return 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b""
    part = content[first : last + 1]
    headers |= {"Content-Range": f"bytes {first}-{last}/{len(content)}", "Content-Length": str(len(part))}
    return 206, headers, part


def _answer(exchange: Exchange, content: bytes, mark: str | None, count: int | None = None) -> None:
    code, headers, body = _plan(exchange, content, mark)
    exchange.head(code, headers)
    exchange.body(body[:count])


def serve(exchange: Exchange, content: bytes) -> None:
    """As a good server does: ranges, If-Range, a strong ETag."""
    _answer(exchange, content, etag(content))


def serve_unmarked(exchange: Exchange, content: bytes) -> None:
    """Ranges, but nothing by which one version is told from another."""
    _answer(exchange, content, None)


def _without(header: str) -> Act:
    def act(exchange: Exchange, content: bytes) -> None:
        del exchange.headers[header]
        serve(exchange, content)

    return act


# A range of whatever version there is now, under that version's ETag; the whole file, whatever was asked for.
serve_ignoring_if_range = _without("If-Range")
no_ranges = _without("Range")


def other(content: bytes, act: Act = serve) -> Act:
    """Another file's bytes from here on."""

    def act_on_other(exchange: Exchange, _: bytes) -> None:
        exchange.origin.files[exchange.path.partition("?")[0]] = content
        act(exchange, content)

    return act_on_other


def _start(exchange: Exchange, content: bytes, count: int, act: Act = serve) -> None:
    _answer(exchange, content, None if act is serve_unmarked else etag(content), count)
    exchange.close_connection = True


def cut(count: int, act: Act = serve) -> Act:
    """Close the connection after so many bytes of the body."""
    return lambda exchange, content: _start(exchange, content, count, act)


def reset(count: int) -> Act:
    """Reset the connection after so many bytes."""

    def act(exchange: Exchange, content: bytes) -> None:
        _start(exchange, content, count)
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.connection.close()

    return act


def stall(count: int) -> Act:
    """Fall silent after so many bytes, with the connection open."""

    def act(exchange: Exchange, content: bytes) -> None:
        _start(exchange, content, count)
        exchange.origin.closing.wait(30)

    return act


def drip(count: int) -> Act:
    """After so many bytes, send one now and then, so that no read ever times out."""

    def act(exchange: Exchange, content: bytes) -> None:
        _start(exchange, content, count)
        for position in range(count, len(content)):
            if exchange.origin.closing.wait(0.05):
                return
            exchange.wfile.write(content[position : position + 1])
            exchange.request_seen.sent += 1

    return act


def close_delimited(exchange: Exchange, content: bytes) -> None:
    """No length; the end is the end of the connection."""
    exchange.head(200, {"Connection": "close"})
    exchange.body(content)
    exchange.close_connection = True


def chunked(exchange: Exchange, content: bytes) -> None:
    """No length, but an end of its own."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    for start in range(0, len(content), PIECE):
        piece = content[start : start + PIECE]
        exchange.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.request_seen.sent += len(piece)
    exchange.wfile.write(b"0\r\n\r\n")


def chunked_and_more(exchange: Exchange, content: bytes) -> None:
    """A piece too many, after the very end of the file."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    exchange.wfile.write(b"%x\r\n%s\r\n3\r\nmor\r\n0\r\n\r\n" % (len(content), content))


def at_most(count: int) -> Act:
    """Ranges, but never more than so many bytes of one."""

    def act(exchange: Exchange, content: bytes) -> None:
        code, headers, body = _plan(exchange, content, etag(content))
        first, total = re.findall(r"\d+", headers["Content-Range"])[::2]
        headers |= {"Content-Range": f"bytes {first}-{int(first) + count - 1}/{total}", "Content-Length": str(count)}
        exchange.head(code, headers)
        exchange.body(body[:count])

    return act


def broken_chunks(exchange: Exchange, content: bytes) -> None:
    """A chunk size that is no number."""
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    exchange.wfile.write(b"10\r\n" + content[:16] + b"\r\nzz\r\n")
    exchange.close_connection = True


def status(code: int, headers: dict[str, str] | None = None) -> Act:
    """Only a status."""
    return lambda exchange, _: exchange.head(code, {"Content-Length": "0"} | (headers or {}))


def redirect(to: str) -> Act:
    return status(302, {"Location": to})


def _plain(exchange: Exchange, body: bytes, headers: dict[str, str]) -> None:
    exchange.head(200, {"Content-Length": str(len(body))} | headers)
    exchange.body(body)


def page(exchange: Exchange, _: bytes) -> None:
    """A login page with status 200."""
    body = b"\n<!DOCTYPE html><html><body>Please log in</body></html>" + b" " * 400
    _plain(exchange, body, {"Content-Type": "text/html"})


def page_without_length(exchange: Exchange, _: bytes) -> None:
    close_delimited(exchange, b"<html><body>Please log in</body></html>")


def labelled_gzip(exchange: Exchange, content: bytes) -> None:
    """The plain bytes of a file that is compressed itself, as many servers label it."""
    _plain(exchange, content, {"Content-Encoding": "gzip"})


def gzipped(exchange: Exchange, content: bytes) -> None:
    """Compressed, although the identity was asked for."""
    _plain(exchange, gzip.compress(content, mtime=0), {"Content-Encoding": "gzip"})


def running() -> AbstractContextManager[Origin]:
    """A server that serves well unless its script says otherwise."""
    return running_with(serve)
