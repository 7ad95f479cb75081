"""The Prefect server of one build; that it runs and dies with its build is seen in tests/e2e/test_build.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows import server as server_module
from flows.errors import ServerNotReached, ServerNotStarted
from flows.server import Server, check_reachable
from tests.flows.machines import until


def test_a_server_that_cannot_start_says_where_its_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _runs(monkeypatch, "import sys; sys.exit('unable to open database file')")
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
    assert (tmp_path / "log").exists()
    assert not Path(f"/proc/{server.pid}").exists()


@pytest.mark.parametrize("before", ["", "out of memory "])
def test_what_a_server_says_while_it_is_ended_is_no_reason_to_keep_its_log(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, log = tmp_path / "ready", tmp_path / "log"
    _runs(
        monkeypatch,
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('rollback was cancelled'))\n"
        f"print(end={before!r}, flush=True)\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "signal.pause()\n",
    )
    server = Server(log)
    until(ready.exists)
    server.stop()
    assert (log.read_text() if log.exists() else "") == (before and f"{before}rollback was cancelled\n")


def test_a_server_behind_a_proxy_is_not_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:1/api"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    check_reachable(nobody)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ServerNotReached, match=re.escape(nobody)):
        check_reachable(nobody)


def _runs(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    guarded = server_module._command(0)
    command = [*guarded[: guarded.index("-m")], "-c", program]
    monkeypatch.setattr(server_module, "_command", lambda port: command)
