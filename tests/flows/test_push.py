"""Whole builds whose release goes to a server as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from tests.artifacts.remote.liar import Liar, instead
from tests.flows.conftest import Run
from tests.flows.tiny import TinyBuild


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Liar]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Liar() as liar:
        yield liar


def test_a_build_pushes_what_it_published(
    run: Run, again: TinyBuild, server: Liar, capsys: pytest.CaptureFixture[str]
) -> None:
    home = f"{server.place}/models/centernet"
    assert run(again, "--set", f"release.push={home}") == 0
    version = again.release.version
    assert {name for name in server.manifests if name in (version, "latest")} == {version, "latest"}
    assert digest_bytes(server.manifests["latest"][0]) == again.digest
    shown = capsys.readouterr().out
    assert f"server    {home}:{version}" in shown and f"release {version} published" in shown
    assert run(again, "--set", f"release.push={home}") == 0
    assert "was published already, nothing is new" in capsys.readouterr().out


def test_a_server_that_refuses_fails_the_build_and_the_release_stays_here(
    run: Run, again: TinyBuild, server: Liar, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = again.digest
    server.always = instead(403, {}, b'{"errors":[{"code":"DENIED","message":"not yours"}]}')
    assert run(again, "--set", f"release.push={server.place}/m") == 1
    assert "DENIED: not yours" in capsys.readouterr().err
    assert again.digest == digest and server.manifests == {}
