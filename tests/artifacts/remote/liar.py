"""A registry for tests, which keeps to the protocol until it is told to lie, and notes all that it is asked."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import struct
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs, quote, urlsplit

from artifacts.digest import digest_bytes

REPOSITORY = "models/centernet"
PIECE = 1 << 14


class Asked(NamedTuple):
    method: str
    path: str
    headers: Dict[str, str]


class Answer(NamedTuple):
    status: int
    headers: Dict[str, str]
    body: bytes


# Gets the honest answer to a GET and sends something.
Lie = Callable[["Handler", Answer], None]


class Liar(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: Optional[Tuple[Path, Path]] = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: Dict[str, bytes] = {}
        self.manifests: Dict[str, Tuple[bytes, str]] = {}
        self.uploads: Dict[str, bytes] = {}
        self.asked: List[Asked] = []
        self.lies: List[Lie] = []
        self.lies_about_tokens: List[Lie] = []
        self.always: Optional[Lie] = None
        self.bytes_per_second = 0
        self.page = 1000
        self.knows_conditions = True
        self.over = threading.Event()
        # With a user, all but /token wants authorization.
        self.user: Optional[Tuple[str, str]] = None
        self.scheme = "basic"
        self.realm = ""
        self.uses_of_a_token = 1_000_000
        self.tokens: Dict[str, int] = {}
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, tls))
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def put(self, data: bytes) -> str:
        self.blobs[digest_bytes(data)] = data
        return digest_bytes(data)

    def count(self, method: str, part: str) -> int:
        return sum(one.method == method and part in one.path for one in self.asked)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are what is tested

    def __enter__(self) -> Liar:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if not self._is_let_in():
            return
        answer, is_token = self._answer(), self.path.startswith("/token")
        lies = self.server.lies_about_tokens if is_token else self.server.lies
        if lies and "/tags/" not in self.path:
            lies.pop(0)(self, answer)
        elif is_token or "/tags/" in self.path:
            self.send(answer)
        elif self.server.always:
            self.server.always(self, answer)
        else:
            self.send(answer)

    def do_HEAD(self) -> None:
        if self._is_let_in():
            answer = self._answer()
            digest = digest_bytes(answer.body)
            if self.server.knows_conditions and self.headers.get("If-None-Match") == f'"{digest}"':
                answer = Answer(304, {}, b"")
            self.head(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})

    def do_POST(self) -> None:
        if not self._is_let_in():
            return
        if self.path.startswith("/token"):
            form = parse_qs(self._sent().decode())
            good = form.get("refresh_token") == ["refresh-me"]
            self.send(self._token() if good else Answer(401, {}, b"{}"))
            return
        name = uuid.uuid4().hex
        self.server.uploads[name] = b""
        self.send(Answer(202, {"Location": f"/v2/{REPOSITORY}/blobs/uploads/{name}?_state=a%2Bb"}, b""))

    def do_PUT(self) -> None:
        if not self._is_let_in():
            return
        body, parts = self._sent(), urlsplit(self.path)
        if "/manifests/" in self.path:
            name, kind = parts.path.rpartition("/")[2], self.headers["Content-Type"]
            self.server.manifests[name] = self.server.manifests[digest_bytes(body)] = (body, kind)
            self.send(Answer(201, {}, b""))
            return
        query, name = parse_qs(parts.query), parts.path.rpartition("/")[2]
        known = self.server.uploads.pop(name, None) is not None and query.get("_state") == ["a+b"]
        fits = query.get("digest") == [digest_bytes(body)]
        if known and fits:
            self.server.put(body)
        self.send(Answer(201 if known and fits else 400, {}, b""))

    def send(self, answer: Answer) -> None:
        self.head(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
        self.write(answer.body)

    def head(self, status: int, headers: Dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def write(self, body: bytes) -> None:
        for place in range(0, len(body), PIECE):
            self.wfile.write(body[place : place + PIECE])
            if self.server.bytes_per_second:
                time.sleep(PIECE / self.server.bytes_per_second)

    def hang_up(self, *, reset: bool = False) -> None:
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        if not reset:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _sent(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _is_let_in(self) -> bool:
        self.server.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        said, server = self.headers.get("Authorization", ""), self.server
        if server.user is None or self.path.startswith("/token"):
            return True
        if server.scheme == "basic" and said == basic(*server.user):
            return True
        token = said[len("Bearer ") :] if said.startswith("Bearer ") else ""
        if server.scheme == "bearer" and server.tokens.get(token, 0) > 0:
            server.tokens[token] -= 1
            return True
        realm = server.realm or f"http://{server.place}/token"
        challenge = f'Bearer realm="{realm}",service="liar",scope="repository:{REPOSITORY}:pull"'
        if server.scheme == "basic":
            challenge = 'Basic realm="edge-models"'
        self.close_connection = True
        self.send(Answer(401, {"WWW-Authenticate": challenge}, b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}'))
        return False

    def _token(self) -> Answer:
        token = uuid.uuid4().hex
        self.server.tokens[token] = self.server.uses_of_a_token
        return Answer(200, {}, json.dumps({"token": token, "expires_in": 60}).encode())

    def _answer(self) -> Answer:
        parts = urlsplit(self.path)
        if parts.path == "/token":
            good = self.server.user and self.headers.get("Authorization") == basic(*self.server.user)
            return self._token() if good else Answer(401, {}, b"{}")
        if parts.path.endswith("/tags/list"):
            return self._tags(parse_qs(parts.query))
        name = parts.path.rpartition("/")[2]
        if "/manifests/" in parts.path and name in self.server.manifests:
            data, kind = self.server.manifests[name]
            return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest_bytes(data)}, data)
        if ("/blobs/" in parts.path or "/elsewhere/" in parts.path) and name in self.server.blobs:
            return self._blob(self.server.blobs[name])
        return Answer(404, {}, b'{"errors":[{"code":"UNKNOWN","message":"nothing here"}]}')

    def _blob(self, data: bytes) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        kind = {"Content-Type": "application/octet-stream"}
        if wanted is None:
            return Answer(200, kind, data)
        first, last = int(wanted[1]), int(wanted[2])
        return Answer(206, {**kind, "Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1])

    def _tags(self, query: Dict[str, List[str]]) -> Answer:
        tags = sorted(name for name in self.server.manifests if not name.startswith("sha256:"))
        after = [tag for tag in tags if tag > query.get("last", [""])[0]]
        page = after[: self.server.page]
        headers = {}
        if len(after) > len(page):
            headers["Link"] = f'</v2/{REPOSITORY}/tags/list?last={quote(page[-1])}&n=5>; rel="next"'
        return Answer(200, headers, json.dumps({"name": REPOSITORY, "tags": page}).encode())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def instead(status: int, headers: Optional[Dict[str, str]] = None, body: bytes = b"") -> Lie:
    """Answer something else altogether."""
    return lambda handler, answer: handler.send(Answer(status, headers or {}, body))
