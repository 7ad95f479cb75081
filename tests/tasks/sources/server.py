"""A real HTTP server on the loopback that does to each request what a script says."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 14


def numbered(size: int, seed: int = 0) -> bytes:
    """Bytes that differ at every offset: a resume that is off by one, or by any whole number of bytes, shows."""
    words = struct.pack(f">{size // 4 + 1}I", *range(seed, seed + size // 4 + 1))
    return words[:size]


@dataclass
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0


class Exchange(BaseHTTPRequestHandler):
    """One connection; `server` is the Origin's."""

    protocol_version = "HTTP/1.1"
    origin: Origin
    request_seen: Request

    def do_GET(self) -> None:
        origin = self.origin
        path = self.path.partition("?")[0]
        self.request_seen = Request("GET", self.path, {key.title(): value for key, value in self.headers.items()})
        with origin.guard:
            origin.requests.append(self.request_seen)
            origin.busy += 1
            origin.most_busy = max(origin.most_busy, origin.busy)
            script = origin.scripts.get(path, [])
            act = script.pop(0) if script else origin.otherwise.get(path, origin.usual)
            content = origin.files.get(path)
        try:
            if content is None and act is origin.usual:
                self.head(404, {"Content-Length": "0"})
            else:
                act(self, content or b"")
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            with origin.guard:
                origin.busy -= 1

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.request_seen.status = status
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def body(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self.wfile.write(data[start : start + PIECE])
            self.request_seen.sent += len(data[start : start + PIECE])


Act = Callable[[Exchange, bytes], None]


@dataclass
class Origin:
    """The server's files, its scripts (what to do to the first, second, ... request of a path) and what it saw."""

    usual: Act
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    scripts: dict[str, list[Act]] = field(default_factory=dict)
    otherwise: dict[str, Act] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, content: bytes, *acts: Act, otherwise: Act | None = None) -> str:
        """Offer a file and say what to do to its first requests; returns its address."""
        self.files[path] = content
        self.scripts[path] = list(acts)
        if otherwise is not None:
            self.otherwise[path] = otherwise
        return self.url + path

    @property
    def sent(self) -> int:
        return sum(request.sent for request in self.requests)

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("Range") for request in self.requests]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    # Many clients at once must not find the queue full: the kernel would let them wait a second.
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that a script has broken is no error."""


@contextmanager
def running_with(usual: Act) -> Iterator[Origin]:
    origin = Origin(usual)
    handler = type("Handler", (Exchange,), {"origin": origin})
    server = _QuietServer(("127.0.0.1", 0), handler)
    origin.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield origin
    finally:
        origin.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
