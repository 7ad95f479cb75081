"""What the terminal shows."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from artifacts.errors import MissingBlob
from flows import terminal
from flows.errors import ServerNotStarted
from inference.errors import EngineError
from settings.errors import Problem, SettingsError
from tasks.errors import KeyFailure

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "error",
    [
        KeyFailure("no key"),
        MissingBlob("sha256:aa", Path("/store")),
        EngineError("it died", Path("/log")),
        SettingsError([Problem("workers", "is 0")]),
        ServerNotStarted("ended", Path("/log")),
    ],
)
def test_what_is_foreseen_is_told_as_it_is(error: Exception, tmp_path: Path, capsys: Capture) -> None:
    terminal.tell_failure(error, tmp_path)
    assert capsys.readouterr().err == f"\nThe build failed. {error}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_goes_to_the_temporary_folder_where_the_store_cannot_be_written(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    terminal.tell_failure(ValueError("of all things"), tmp_path / "file" / "logs")
    (log,) = tmp_path.glob("unforeseen-*.log")
    assert "ValueError: of all things" in log.read_text() and str(log) in capsys.readouterr().err


def test_our_lines_are_shown_with_the_time_and_only_inside_the_block(capsys: Capture) -> None:
    log, before = logging.getLogger("tasks.step"), [*logging.getLogger("tasks").handlers]
    with terminal.lines():
        log.info("trace ...")
        log.debug("not this")
        logging.getLogger("somebody.else").warning("nor this")
    log.info("nor this")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  trace \.\.\.\n", capsys.readouterr().err)
    assert logging.getLogger("tasks").handlers == before


def test_what_the_user_says_about_prefect_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    monkeypatch.delenv("PREFECT_SERVER_EPHEMERAL_ENABLED", raising=False)
    terminal.quiet_prefect()
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "INFO" and os.environ["DO_NOT_TRACK"] == "1"


def test_prefect_starts_no_server_of_its_own(tmp_path: Path) -> None:
    # Its threads outside of our settings would, when ours is gone, and that one would be left behind.
    program = (
        "from flows.terminal import quiet_prefect; quiet_prefect()\n"
        "from prefect.client.orchestration import get_client\n"
        "try:\n    get_client(sync_client=True)\nexcept ValueError as error:\n    print(error)\n"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**inherited, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No Prefect API URL provided" in said.stdout


def test_a_traceback_is_said_where_no_disk_takes_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    terminal.tell_failure(ValueError("of all things"), tmp_path / "file" / "logs")
    assert "ValueError: of all things" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_the_disk_says_without_a_name_is_told_of_the_store(tmp_path: Path, capsys: Capture, number: int) -> None:
    terminal.tell_failure(OSError(number, os.strerror(number)), tmp_path / "store" / "logs")
    said = capsys.readouterr().err
    assert f"below {tmp_path / 'store'}:" in said and "does not foresee" not in said
