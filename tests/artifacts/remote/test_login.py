from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any, Optional, Tuple

import pytest
from pydantic import SecretStr

from artifacts import media
from artifacts.errors import RegistryMisbehaved, RegistryRefused
from artifacts.remote.access import Access, Credentials
from artifacts.remote.challenge import Challenge, chosen, parse_challenges
from artifacts.remote.client import RemoteRegistry
from artifacts.store import ContentStore
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.conftest import QUICK
from tests.artifacts.remote.liar import REPOSITORY, Liar, basic, instead
from tests.artifacts.remote.lies import cut

MANIFEST = b'{"mediaType":"other"}'


@pytest.fixture
def liar() -> Any:
    with Liar() as server:
        server.user = ("alice", "wonder:land")
        server.manifests["1.0.0"] = (MANIFEST, media.MANIFEST)
        yield server


def client(liar: Liar, user: str = "alice", password: str = "wonder:land", actions: str = "pull") -> RemoteRegistry:
    access = Access(given=Credentials(user=user, password=SecretStr(password)) if user else None)
    return RemoteRegistry(liar.place, REPOSITORY, access=access, limits=QUICK, actions=actions)


def test_basic_authentication_is_given_when_it_is_asked_for(liar: Liar) -> None:
    with client(liar) as registry:
        assert registry.resolve("1.0.0")[1] == MANIFEST
        registry.resolve("1.0.0")
    said = [one.headers.get("authorization") for one in liar.asked]
    assert said == [None, basic("alice", "wonder:land"), basic("alice", "wonder:land")]


def test_a_token_is_fetched_with_the_credentials_and_used_until_it_expires(liar: Liar) -> None:
    liar.scheme, liar.uses_of_a_token = "bearer", 2
    with client(liar) as registry:
        for _ in range(4):
            assert registry.resolve("1.0.0")[1] == MANIFEST
    tokens = [one for one in liar.asked if one.path.startswith("/token")]
    assert len(tokens) == 2
    assert tokens[0].path == f"/token?service=liar&scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull"
    assert tokens[0].headers["authorization"] == basic("alice", "wonder:land")
    others = [one.headers.get("authorization", "") for one in liar.asked if not one.path.startswith("/token")]
    assert not any("Basic" in said for said in others)


def test_a_token_that_expires_in_the_middle_of_a_download_is_renewed(liar: Liar, tmp_path: Path) -> None:
    liar.scheme, liar.uses_of_a_token = "bearer", 1
    data = b"0123456789" * 100_000
    liar.put(data)
    liar.lies = [cut(300_000), cut(300_000)]
    with client(liar) as registry:
        assert registry.fetch(blob_of(data), ContentStore(tmp_path)).read_bytes() == data
    assert liar.count("GET", "/token") == 3
    served = [one.headers["range"] for one in liar.asked if "range" in one.headers]
    assert served[-1] == f"bytes=600000-{len(data) - 1}"


def test_the_scope_asks_for_what_is_going_to_be_done(liar: Liar) -> None:
    liar.scheme = "bearer"
    with client(liar, actions="pull,push") as registry:
        registry.resolve("1.0.0")
    [asked] = [one for one in liar.asked if one.path.startswith("/token")]
    assert asked.path.endswith("%3Apull%2Cpush")


def test_an_identity_token_is_exchanged(liar: Liar) -> None:
    liar.scheme = "bearer"
    access = Access(given=Credentials(identity_token=SecretStr("refresh-me")))
    with RemoteRegistry(liar.place, REPOSITORY, access=access, limits=QUICK) as registry:
        assert registry.resolve("1.0.0")[1] == MANIFEST
    assert liar.count("POST", "/token") == 1


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_wrong_credentials_are_told_at_once_and_never_shown(
    liar: Liar, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    liar.scheme = scheme
    with client(liar, password="not-this-one") as registry:
        with pytest.raises(RegistryRefused, match="docker login") as caught:
            registry.resolve("1.0.0")
        shown = [str(caught.value), repr(caught.value), caplog.text, repr(registry.transport._login.known())]
    assert caught.value.status == 401
    assert len(liar.asked) <= 3
    secret = base64.b64encode(b"alice:not-this-one").decode()
    assert not any("not-this-one" in text or secret in text for text in shown)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_missing_credentials_say_how_to_give_them(liar: Liar, scheme: str) -> None:
    liar.scheme = scheme
    with client(liar, user="") as registry:
        with pytest.raises(RegistryRefused, match="CENTERNET_REGISTRY_USER and CENTERNET_REGISTRY_PASSWORD"):
            registry.resolve("1.0.0")


@pytest.mark.parametrize("realm", ["http://example.com/token", "http://token", "ftp://example.com/", "//x", "token"])
def test_credentials_never_leave_without_encryption(liar: Liar, realm: str) -> None:
    liar.scheme, liar.realm = "bearer", realm
    with client(liar) as registry, pytest.raises(RegistryMisbehaved, match="No credentials were sent"):
        registry.resolve("1.0.0")
    assert len(liar.asked) == 1


def test_a_login_service_that_gives_no_token_is_named(liar: Liar) -> None:
    liar.scheme = "bearer"
    for body in (b"{}", b"<html>", b"[]", b'{"token": 7}', b'{"token": "a\\r\\nX-Evil:1"}'):
        with client(liar) as registry, pytest.raises(RegistryMisbehaved, match="no token"):
            liar.lies_about_tokens = [instead(200, {}, body)]
            registry.resolve("1.0.0")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_login_service_that_refuses_is_quoted(liar: Liar, status: int) -> None:
    liar.scheme = "bearer"
    liar.lies_about_tokens = [instead(status, {}, b'{"errors":[{"code":"DENIED","message":"locked out"}]}')]
    with client(liar) as registry, pytest.raises(RegistryRefused, match=r"login service.*locked out") as caught:
        registry.resolve("1.0.0")
    assert caught.value.status == status


def test_a_login_service_that_is_busy_is_asked_again(liar: Liar) -> None:
    liar.scheme = "bearer"
    liar.lies_about_tokens = [instead(503)]
    with client(liar) as registry:
        assert registry.resolve("1.0.0")[1] == MANIFEST


CHALLENGES = {
    'Basic realm="x"': [Challenge("basic", {"realm": "x"})],
    'Bearer realm="https://a/t",service="s, with comma",scope="repository:m:pull,push"': [
        Challenge("bearer", {"realm": "https://a/t", "service": "s, with comma", "scope": "repository:m:pull,push"})
    ],
    'Negotiate, Basic realm="a\\"b" , charset=UTF-8': [
        Challenge("negotiate", {}),
        Challenge("basic", {"realm": 'a"b', "charset": "UTF-8"}),
    ],
    'Basic realm="x", BEARER Realm="y"': [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})],
    "": [],
    '="': [],
}


@pytest.mark.parametrize("header", list(CHALLENGES))
def test_challenges_are_read(header: str) -> None:
    assert parse_challenges(header) == CHALLENGES[header]


@pytest.mark.parametrize(
    ("header", "scheme"),
    [('Basic realm="x", Bearer realm="y"', "bearer"), ('Bearer service="s", Basic', "basic"), ("Negotiate", None)],
)
def test_a_token_is_preferred_where_it_can_be_had(header: str, scheme: Optional[str]) -> None:
    found = chosen(parse_challenges(header))
    assert (found.scheme if found else None) == scheme


def test_credentials_are_looked_up_once(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def credentials(access: Access, host: str) -> Optional[Credentials]:
        asked.append(host)
        return access.given

    monkeypatch.setattr(Access, "credentials", credentials)
    liar.scheme, liar.uses_of_a_token = "bearer", 1
    with client(liar) as registry:
        for _ in range(3):
            registry.resolve("1.0.0")
    assert asked == [liar.place]


def auth(text: str) -> Tuple[str, str]:
    return "auth", base64.b64encode(text.encode()).decode()


def test_the_docker_configuration_is_asked_only_once_credentials_are_wanted(liar: Liar, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    access = Access(docker_config=tmp_path)
    config.write_text("no json")
    user, liar.user = liar.user, None
    with RemoteRegistry(liar.place, REPOSITORY, access=access, limits=QUICK) as registry:
        assert registry.resolve("1.0.0")[1] == MANIFEST
        liar.user = user
        config.write_text(json.dumps({"auths": {liar.place: dict([auth("alice:wonder:land")])}}))
        assert registry.resolve("1.0.0")[1] == MANIFEST
