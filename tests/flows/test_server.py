"""The Prefect server of one build; that it runs and dies with its build is seen in tests/e2e/test_build.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows import server as server_module
from flows.errors import ServerNotReached, ServerNotStarted
from flows.server import Server, check_reachable


def test_a_server_that_cannot_start_says_where_its_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = server_module._command(0)
    program = "import sys; sys.exit('unable to open database file')"
    command = [*guarded[: guarded.index("-m")], "-c", program]
    monkeypatch.setattr(server_module, "_command", lambda port: command)
    server = Server(tmp_path / "log")
    with pytest.raises(ServerNotStarted, match=r"ended with status 1 at its start\. .*PREFECT_HOME") as caught:
        server.wait(120)
    assert caught.value.log_path == tmp_path / "log"
    assert "unable to open database file" in (tmp_path / "log").read_text()
    server.stop()
    server.stop()


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    server = Server(tmp_path / "log")
    with pytest.raises(ServerNotStarted, match="did not answer within 0 s"):
        server.wait(0)
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_server_behind_a_proxy_is_not_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:1/api"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    check_reachable(nobody)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ServerNotReached, match=re.escape(nobody)):
        check_reachable(nobody)
