"""What a page of another site in a browser on this machine gets out of the Prefect server: nothing."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows.server import Server
from flows.serving.doorkeeper import may_enter

EVIL = "http://evil.example"
PAGE = "http://127.0.0.1:4200"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server as a build starts it, with a database of its own; its port."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PREFECT_HOME", str(folder))
        monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{folder}/prefect.db")
        monkeypatch.setenv("CENTERNET_REGISTRY_PASSWORD", "canary-password")
        running = Server(folder / "log")
    try:
        running.wait()
        yield urlsplit(running.api_url).port or 0
    finally:
        running.stop()


def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with connection.getresponse() as answer:
        return answer.status


def attacks(port: int) -> dict[str, int]:
    """The status that each way of another site's page to the API gets, by what it is."""
    deployment = json.dumps({"name": "evil"}).encode()
    typed = {"Content-Type": "application/json"}
    rebound = f"evil.example:{port}"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return {
        "a request without a content type": ask(port, "POST", "/api/flows/", {"Origin": EVIL}, deployment),
        "a request of a form's type": ask(
            port, "POST", "/api/flows/", {"Origin": EVIL, "Content-Type": "text/plain"}, deployment
        ),
        "a request as the pages send it": ask(port, "POST", "/api/flows/", {"Origin": EVIL, **typed}, deployment),
        "a question whether it may ask": ask(port, "OPTIONS", "/api/flows/", {"Origin": EVIL, **asked}),
        "a frame without an origin": ask(port, "POST", "/api/flows/", {"Origin": "null"}, deployment),
        "another server of this machine": ask(
            port, "POST", "/api/flows/", {"Origin": "http://localhost:8888", **typed}, deployment
        ),
        "a name that was made to lead here": ask(
            port, "POST", "/api/flows/filter", {"Host": rebound, "Origin": f"http://{rebound}", **typed}, b"{}"
        ),
        "that name without an origin": ask(port, "GET", "/api/health", {"Host": rebound}),
    }


def test_no_page_of_another_site_is_let_in_whatever_way_it_asks(server: int) -> None:
    found = attacks(server)
    assert set(found.values()) == {403}, found
    assert json_of(server, "/api/flows/filter") == []


@pytest.mark.parametrize("path", ["/api/events/in", "/api/logs/out"])
def test_no_page_of_another_site_opens_a_websocket(server: int, path: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server}{path}", origin=EVIL).close()  # type: ignore[arg-type]
    connect(f"ws://127.0.0.1:{server}{path}").close()


def test_programs_and_its_own_pages_are_served(server: int) -> None:
    for host in (f"127.0.0.1:{server}", f"localhost:{server}"):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
            assert ask(server, "GET", "/api/health", headers) == 200


def test_the_server_is_not_given_the_password_of_the_registry(server: int) -> None:
    heard = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if str(server) in command_of(path)]
    assert len(heard) == 2  # the guard and the server
    assert not [path for path in heard if b"canary-password" in (path / "environ").read_bytes()]


def test_with_a_password_nobody_asks_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/prefect.db")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:word")
    running = Server(tmp_path / "log")
    try:
        running.wait()
        port = urlsplit(running.api_url).port or 0
        word = "Basic " + base64.b64encode(b"admin:word").decode()
        typed = {"Content-Type": "application/json"}
        answers = [
            ask(port, "POST", "/api/flows/filter", {**typed, **more}, b"{}") for more in ({}, {"Authorization": word})
        ]
        assert answers == [401, 200]
    finally:
        running.stop()


def command_of(path: Path) -> list[str]:
    try:
        return path.read_text().split("\0")
    except OSError:
        return []


def json_of(port: int, path: str) -> object:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
    return json.load(connection.getresponse())


@pytest.mark.parametrize(
    ("host", "origin", "allowed", "expected"),
    [
        ("127.0.0.1:4200", None, [], True),
        ("[::1]:4200", "http://[::1]:4200", [], True),
        ("localhost:7000", "http://localhost:7000", [PAGE], True),  # through a tunnel with another port
        ("127.0.0.1:4200", "http://localhost:4200", [], False),
        ("127.0.0.1:4200", "http://localhost:4200", ["http://localhost:4200"], True),
        ("prefect.example.com", "https://prefect.example.com", ["https://prefect.example.com"], True),
        ("prefect.example.com", "https://prefect.example.com", [PAGE], False),
        ("127.0.0.1:4200", EVIL, ["*"], True),
        ("evil.example:4200", None, [PAGE], False),
        ("127.0.0.1.evil.example:4200", None, [PAGE], False),
        ("evil.example@127.0.0.1", None, [PAGE], True),  # it is the loopback that is named, and no browser sends that
        ("127.0.0.1:4200", "https://127.0.0.1:4200", [PAGE], False),
        ("[", None, [PAGE], False),
        (None, None, [PAGE], False),
        ("", None, [PAGE], False),
    ],
)
def test_the_rule(host: str | None, origin: str | None, allowed: list[str], expected: bool) -> None:
    assert may_enter(host, origin, allowed) is expected
