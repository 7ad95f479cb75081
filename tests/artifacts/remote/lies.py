"""Lies for the liar to tell: each gets the honest answer and sends something."""

from __future__ import annotations

from typing import Callable

from tests.artifacts.remote.liar import PIECE, Answer, Handler, Lie


def cut(after: int, *, reset: bool = False) -> Lie:
    """Announce all, send a part, hang up."""

    def lie(handler: Handler, answer: Answer) -> None:
        handler.head(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
        handler.write(answer.body[:after])
        handler.hang_up(reset=reset)

    return lie


def silent(after: int) -> Lie:
    """Announce all, send a part, and say nothing more until the test is over."""

    def lie(handler: Handler, answer: Answer) -> None:
        handler.head(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
        handler.write(answer.body[:after])
        handler.server.over.wait(30)

    return lie


def dripping(handler: Handler, answer: Answer) -> None:
    """Send a byte now and then, so that no read time-out ever strikes."""
    handler.head(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
    for place in range(len(answer.body)):
        handler.wfile.write(answer.body[place : place + 1])
        if handler.server.over.wait(0.02):
            return


def flipped(at: int) -> Lie:
    """Change one bit of the body."""

    def lie(handler: Handler, answer: Answer) -> None:
        body = bytearray(answer.body)
        body[at] ^= 1
        handler.send(answer._replace(body=bytes(body)))

    return lie


def without_length(change: Callable[[bytes], bytes]) -> Lie:
    """Send a body that ends when the connection does."""

    def lie(handler: Handler, answer: Answer) -> None:
        handler.head(answer.status, {**answer.headers, "Connection": "close"})
        handler.write(change(answer.body))
        handler.hang_up()

    return lie


def in_chunks(change: Callable[[bytes], bytes]) -> Lie:
    """Send a body in chunks of announced length (RFC 9112, section 7.1)."""

    def lie(handler: Handler, answer: Answer) -> None:
        handler.head(answer.status, {**answer.headers, "Transfer-Encoding": "chunked"})
        body = change(answer.body)
        for place in range(0, len(body), PIECE):
            piece = body[place : place + PIECE]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    return lie


def ignoring_ranges(handler: Handler, answer: Answer) -> None:
    """Send the whole blob with 200, whatever part was asked for."""
    data = handler.server.blobs[handler.path.rpartition("/")[2]]
    handler.send(Answer(200, {}, data))


def unsatisfiable(handler: Handler, answer: Answer) -> None:
    """Refuse a range as distribution 2.8 does: with the length of the whole blob and another body."""
    data = handler.server.blobs[handler.path.rpartition("/")[2]]
    handler.head(416, {"Content-Length": str(len(data))})
    handler.wfile.write(b"416 requested range not satisfied\n")
    handler.server.over.wait(30)
