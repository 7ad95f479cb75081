"""Where a log lies is said in the line of the step."""

from __future__ import annotations

from pathlib import Path

from artifacts.digest import digest_bytes
from tasks.errors import CommandTimedOut, KeyFailure
from tasks.log_reference import kept_log, left_log
from tests.tasks.results import FP32, compiled, measured, workspace_in


def test_what_a_command_made_names_its_log(tmp_path: Path) -> None:
    made = compiled(workspace_in(tmp_path), FP32)
    assert kept_log(made) == f", log {made.evidence.log.digest[:19]}"


def test_what_no_command_made_names_none() -> None:
    assert kept_log(measured(None, FP32)) == kept_log(None) == ""


def test_a_failed_command_names_the_file_that_it_left_and_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "deploy.log"
    path.write_bytes(b"it broke")
    error = CommandTimedOut("deploy", ("model_deploy",), 1.0, path)
    assert left_log(error) == f", log {path} ({digest_bytes(b'it broke')})"


def test_a_failure_without_a_log_and_one_whose_log_is_gone_name_none(tmp_path: Path) -> None:
    assert left_log(KeyFailure("no key")) == ""
    assert left_log(CommandTimedOut("deploy", ("model_deploy",), 1.0, tmp_path / "gone.log")) == ""
