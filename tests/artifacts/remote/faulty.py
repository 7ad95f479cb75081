"""A proxy before a real registry that now and then does what networks, balancers and full disks do."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Dict, List, NamedTuple, Optional

from tests.artifacts.remote.liar import Liar


class Forwarded(NamedTuple):
    status: int
    headers: Dict[str, str]
    body: bytes


class Proxy(ThreadingHTTPServer):
    """Passes every request on to a registry, but for those whose turn it is to meet a fault.

    Attributes:
        weather: Asked for each request with its method and path; the fault's name, or none.
        met: The faults that were met, in order.
        elsewhere: Another server, which asks for nothing and keeps what it is sent.
        leaked: Requests with our authorization that came elsewhere.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str, elsewhere: Optional[Liar] = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.elsewhere = elsewhere
        self.weather: Callable[[str, str], str] = lambda method, path: ""
        self.met: List[str] = []
        self.over = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        fault = self.server.weather(self.command, self.path)
        if fault:
            self.server.met.append(fault)
            try:
                FAULTS[fault](self)
            except OSError:
                self.close_connection = True
        else:
            self.answer(self.forward(self.sent()))

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def sent(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def forward(self, body: bytes) -> Forwarded:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body or None, kept)
        response = connection.getresponse()
        answer = Forwarded(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def answer(self, answer: Forwarded, count: Optional[int] = None) -> None:
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "transfer-encoding"}
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(answer.body))
        self.say(answer.status, headers, answer.body if self.command != "HEAD" else b"", count)

    def say(self, status: int, headers: Dict[str, str], body: bytes = b"", count: Optional[int] = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if count is None else body[:count])

    def hang_up(self) -> None:
        self.close_connection = True


def _status(status: int, headers: Optional[Dict[str, str]] = None) -> Callable[[_Handler], None]:
    def fault(handler: _Handler) -> None:
        handler.sent()
        handler.say(status, headers or {})

    return fault


def _dropped_half_way(handler: _Handler) -> None:
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)) // 2)
    handler.hang_up()


def _answer_lost(handler: _Handler) -> None:
    """What was asked is done, and nobody hears of it."""
    handler.forward(handler.sent())
    handler.hang_up()


def _only_said(handler: _Handler) -> None:
    """It says that it took it, and has not."""
    body = handler.sent()
    if handler.command == "PUT":
        handler.say(201, {})
    else:
        handler.answer(handler.forward(body))


def _flipped(handler: _Handler) -> None:
    answer = handler.forward(handler.sent())
    body = bytearray(answer.body)
    if body:
        body[len(body) // 2] ^= 1
    handler.answer(answer._replace(body=bytes(body)))


def _cut(handler: _Handler) -> None:
    answer = handler.forward(handler.sent())
    handler.answer(answer, len(answer.body) // 2)
    handler.hang_up()


def _silent(handler: _Handler) -> None:
    handler.sent()
    handler.server.over.wait(5)
    handler.hang_up()


def _elsewhere(handler: _Handler) -> None:
    """The upload is to go to another server."""
    body = handler.sent()
    there = handler.server.elsewhere
    if handler.command == "POST" and there is not None:
        there.uploads["abc"] = b""
        handler.say(202, {"Location": f"http://{there.place}/v2/x/blobs/uploads/abc?_state=a%2Bb"})
    else:
        handler.answer(handler.forward(body))


def _page(handler: _Handler) -> None:
    handler.sent()
    handler.say(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")


FAULTS: Dict[str, Callable[[_Handler], None]] = {
    "dropped half way": _dropped_half_way,
    "answer lost": _answer_lost,
    "only said": _only_said,
    "bit flipped": _flipped,
    "answer cut": _cut,
    "silent": _silent,
    "upload elsewhere": _elsewhere,
    "429 for a year": _status(429, {"Retry-After": str(365 * 86400)}),
    "500": _status(500),
    "502": _status(502),
    "503": _status(503),
    "404": _status(404),
}
LASTING = {
    "401": _status(401, {"WWW-Authenticate": 'Basic realm="x"'}),
    "403": _status(403),
    "413": _status(413),
    "redirected": _status(307, {"Location": "https://elsewhere.invalid/v2/"}),
    "login page": _page,
}
FAULTS.update(LASTING)
PASSING = [name for name in FAULTS if name not in LASTING]
