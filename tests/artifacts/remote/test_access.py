from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from artifacts.errors import AccessProblem
from artifacts.remote import access as access_module
from artifacts.remote.access import Access, Credentials, is_loopback

HOST = "registry.example.com:5000"


def written(folder: Path, config: Dict[str, Any]) -> Access:
    (folder / "config.json").write_text(json.dumps(config))
    return Access(docker_config=folder)


def helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def pair(found: Optional[Credentials]) -> Any:
    return found and (found.user, found.password.get_secret_value())


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_environment_wins_over_the_docker_configuration(tmp_path: Path) -> None:
    written(tmp_path, {"auths": {HOST: {"auth": encoded("docker:one")}}})
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert pair(Access.from_environment(environ).credentials(HOST)) == ("docker", "one")
    environ.update(CENTERNET_REGISTRY_USER="env", CENTERNET_REGISTRY_PASSWORD="two")
    assert pair(Access.from_environment(environ).credentials(HOST)) == ("env", "two")


def test_the_home_folder_has_dockers_configuration_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    assert Access.from_environment().credentials(HOST) is None
    (tmp_path / ".docker").mkdir()
    written(tmp_path / ".docker", {"auths": {HOST: {"username": "u", "password": "p"}}})
    assert pair(Access.from_environment().credentials(HOST)) == ("u", "p")


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/"])
def test_an_entry_is_found_under_its_old_spellings(tmp_path: Path, key: str) -> None:
    access = written(
        tmp_path, {"auths": {"other.example.com": {"auth": encoded("x:y")}, key: {"auth": encoded("a:b:c")}}}
    )
    assert pair(access.credentials(HOST)) == ("a", "b:c")
    assert access.credentials("registry.example.com") is None


def test_an_identity_token_is_found(tmp_path: Path) -> None:
    found = written(tmp_path, {"auths": {HOST: {"auth": encoded("u:"), "identitytoken": "idt"}}}).credentials(HOST)
    assert found is not None
    assert found.identity_token is not None
    assert found.identity_token.get_secret_value() == "idt"


def test_a_helper_is_asked_for_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'test "$1" = get && read -r host; printf \'{"Username":"of %s","Secret":"s"}\' "$host"'
    helper(tmp_path, "own", script, monkeypatch)
    for config in ({"credsStore": "own"}, {"credHelpers": {HOST: "own"}, "credsStore": "missing"}):
        assert pair(written(tmp_path, config).credentials(HOST)) == (f"of {HOST}", "s")


def test_a_helper_that_knows_nothing_leaves_it_to_the_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, "own", "echo credentials not found in native keychain; exit 1", monkeypatch)
    access = written(tmp_path, {"credsStore": "own", "auths": {HOST: {"auth": encoded("a:b")}}})
    assert pair(access.credentials(HOST)) == ("a", "b")


def test_a_helper_with_a_token_for_a_user_gives_an_identity_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, "own", 'echo \'{"Username":"<token>","Secret":"idt"}\'', monkeypatch)
    found = written(tmp_path, {"credsStore": "own"}).credentials(HOST)
    assert found is not None
    assert found.identity_token is not None


BROKEN_HELPERS = {
    "exit 3": "exit status 3",
    "echo secret-word": "no answer of a credential helper",
    'echo \'{"Username": "u"}\'': "no answer of a credential helper",
    "exec sleep 5": "gave no answer",
}


@pytest.mark.parametrize("script", list(BROKEN_HELPERS))
def test_a_broken_helper_is_named_and_what_it_said_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(access_module, "HELPER_TIMEOUT_S", 0.3)
    helper(tmp_path, "own", script, monkeypatch)
    with pytest.raises(AccessProblem, match=BROKEN_HELPERS[script]) as caught:
        written(tmp_path, {"credsStore": "own"}).credentials(HOST)
    assert "docker-credential-own" in str(caught.value)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "../../bin/sh", ""])
def test_a_helper_that_is_no_program_is_not_run(tmp_path: Path, name: str) -> None:
    access = written(tmp_path, {"credsStore": name})
    if name:
        with pytest.raises(AccessProblem, match="not on the PATH"):
            access.credentials(HOST)
    else:
        assert access.credentials(HOST) is None


def test_a_helper_is_never_looked_for_along_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "docker-credential-x"
    folder.mkdir()
    (folder / "evil").write_text("#!/bin/sh\ntouch ran\n")
    (folder / "evil").chmod(0o755)
    with pytest.raises(AccessProblem, match="not on the PATH"):
        written(tmp_path, {"credsStore": "x/evil"}).credentials(HOST)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["{", json.dumps({"auths": {HOST: {"auth": "secret-word!"}}})])
def test_a_damaged_configuration_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(AccessProblem) as caught:
        Access(docker_config=tmp_path).credentials(HOST)
    assert "config.json" in str(caught.value)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("config", ["[]", '{"auths": []}', json.dumps({"auths": {HOST: "x"}}), "{}"])
def test_a_configuration_without_an_entry_gives_none(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert Access(docker_config=tmp_path).credentials(HOST) is None


WRONG = [
    {"CENTERNET_REGISTRY_USER": "u"},
    {"CENTERNET_REGISTRY_PASSWORD": "secret-word"},
    {"CENTERNET_REGISTRY_CA": "/no/such/file.pem"},
    {"CENTERNET_REGISTRY_PLAIN_HTTP": "maybe"},
]


@pytest.mark.parametrize("environ", WRONG)
def test_a_wrong_variable_is_named(environ: Dict[str, str]) -> None:
    with pytest.raises(AccessProblem, match=next(iter(environ))) as caught:
        Access.from_environment(environ)
    assert "secret-word" not in str(caught.value)


def test_no_secret_is_in_a_repr() -> None:
    environ = {"CENTERNET_REGISTRY_USER": "u", "CENTERNET_REGISTRY_PASSWORD": "secret-word"}
    access = Access.from_environment(environ)
    assert "secret-word" not in repr(access) + str(access) + access.model_dump_json()


SCHEMES = {
    ("registry.example.com", None, False): "https",
    ("registry.example.com", True, False): "http",
    ("localhost:5000", None, False): "http",
    ("127.0.0.1:5000", None, False): "http",
    ("[::1]:5000", None, False): "http",
    ("localhost:5000", None, True): "https",
    ("localhost:5000", False, False): "https",
    ("127.0.0.1.example.com", None, False): "https",
    ("localhost.example.com", None, False): "https",
    ("10.0.0.1:5000", None, False): "https",
}


@pytest.mark.parametrize("case", list(SCHEMES))
def test_plain_http_is_for_this_machine_or_when_asked_for(case: Any) -> None:
    host, plain, has_ca = case
    access = Access(plain_http=plain, ca_file=Path("ca.pem") if has_ca else None)
    assert access.scheme_for(host) == SCHEMES[case]


def test_this_machine_is_known_by_its_very_names() -> None:
    assert all(map(is_loopback, ["127.8.9.1", "localhost", "[::1]:5", "localhost:1"]))
    assert not any(map(is_loopback, ["example.com", "0.0.0.0", "localhost.", "[fe80::1]:5", "1270.0.0.1"]))
