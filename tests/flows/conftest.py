"""Whole builds under a real Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.tiny import TinyBuild
from tests.prefect_server import prefect_records, prefect_server

__all__ = ["prefect_records", "prefect_server"]

Run = Callable[..., int]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBuild:
    """A build that takes seconds, not yet run."""
    return TinyBuild(tmp_path)


@pytest.fixture(scope="session")
def finished(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    """A build that was run; not to be changed."""
    build = TinyBuild(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert runner(build, monkeypatch)() == 0
    return build


@pytest.fixture
def again(finished: TinyBuild, tmp_path: Path) -> TinyBuild:
    """A copy of the finished build, with an environment of its own: no compiler was called in it."""
    return TinyBuild(tmp_path, like=finished)


@pytest.fixture
def run(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a build in this process with further arguments, and returns its exit status."""
    return lambda build, *arguments: runner(build, monkeypatch)(*arguments)


def runner(build: TinyBuild, monkeypatch: pytest.MonkeyPatch) -> Run:
    from flows.command import run_build

    monkeypatch.setattr("tasks.provide.provision", lambda *args, **options: build.toolchain)
    monkeypatch.setenv("CENTERNET_CACHE", build.workspace.cache)
    return lambda *arguments: run_build(["--profile", str(build.profile), *arguments])
