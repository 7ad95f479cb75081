"""`artifacts.remote.access`: docker's `config.json`, where credentials are looked up."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

from artifacts.errors import AccessProblem
from artifacts.remote import access
from artifacts.remote.access import Access
from tests.fuzz.places import scratch, written

JSON = True


def target(data: bytes) -> None:
    """Look up credentials; no program is started for a helper."""
    written("config.json", data)
    with mock.patch.object(access.shutil, "which", lambda _: None):
        try:
            Access(docker_config=scratch()).credentials("registry.example.com")
        except AccessProblem:
            return


def seeds() -> Iterator[bytes]:
    """The ways in which docker writes it."""
    yield b'{"auths":{"registry.example.com":{"auth":"dTpw"},"https://registry.example.com/v1/":{"username":"u","password":"p"}}}'
    yield b'{"auths":{"registry.example.com":{"identitytoken":"t"}},"credsStore":"","credHelpers":{"other":"pass"}}'
    yield b'{"credHelpers":{"registry.example.com":"pass"}}'
