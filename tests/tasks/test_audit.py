"""What is made of the answers of a database of vulnerabilities; that it gave none is never taken for good news."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flows import audit as command
from tasks import audit
from tasks.audit import PROBE, Answer, Finding, answer_in, pins

VULNERABLE = {"name": "requests", "version": "2.19.0", "vulns": [{"id": "CVE-2018-18074", "fix_versions": ["2.20.0"]}]}
FINE = {"name": "numpy", "version": "2.4.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.11.0)"}


def said(*entries: object) -> str:
    return json.dumps({"dependencies": entries, "fixes": []})


class Database:
    """Takes the place of pip-audit: answers with an entry for each package that it is asked about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **entries: object) -> None:
        self.entries = {"requests": VULNERABLE, **entries}
        monkeypatch.setattr(audit, "_output", self.output)
        monkeypatch.setattr(command, "outdated", lambda python: ())

    def output(self, called: Sequence[str]) -> str:
        wanted = pins(Path(called[called.index("--requirement") + 1]))
        names = [line.partition("==")[0] for line in wanted]
        known = [
            ("requests" if line == PROBE else f"{name}-pinned", name) for line, name in zip(wanted, names, strict=True)
        ]
        return said(
            *(self.entries.get(key, self.entries.get(name + "!", {**FINE, "name": name})) for key, name in known)
        )


def test_nothing_known_of_anything_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Database(monkeypatch)
    assert command.run_audit([]) == 0
    shown = capsys.readouterr().out
    assert "the build environment: 0 of" in shown and "tpu-mlir-1.30.2: 0 of" in shown and "oldest packages" in shown


def test_a_vulnerable_package_fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = {"name": "torch", "version": "2.11.0", "vulns": [{"id": "CVE-1", "fix_versions": []}]}
    Database(monkeypatch, **{"torch!": torch})
    assert command.run_audit([]) == 1
    assert "torch 2.11.0: CVE-1; mended in no release yet" in capsys.readouterr().out


def test_what_only_an_old_board_has_is_told_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Database(monkeypatch, **{"chardet!": {**VULNERABLE, "name": "chardet"}})
    assert command.run_audit([]) == 0
    assert "chardet 2.19.0: CVE-2018-18074; mended in 2.20.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "probe",
    [{**FINE, "name": "requests"}, {"name": "requests", "skip_reason": "Dependency not found on PyPI"}],
    ids=["nothing known", "skipped"],
)
def test_a_database_that_does_not_know_what_all_know_is_not_believed(
    probe: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Database(monkeypatch, requests=probe)
    assert command.run_audit([]) == 1
    assert "NOT AUDITED: pypi's database of vulnerabilities gave no answer" in capsys.readouterr().err


def test_a_package_that_was_skipped_was_not_audited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Database(monkeypatch, **{"torch!": SKIPPED})
    assert command.run_audit([]) == 1
    assert "NOT AUDITED: torch (Dependency not found on PyPI" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):", "[]", "{}", '{"dependencies": [1]}'])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert answer_in(text) is None


def test_an_answer_is_read() -> None:
    finding = Finding("requests", "2.19.0", ("CVE-2018-18074",), ("2.20.0",))
    assert answer_in(said(VULNERABLE, FINE, SKIPPED)) == Answer((finding,), (f"torch ({SKIPPED['skip_reason']})",), 3)


def test_every_list_that_is_asked_about_holds_exact_versions() -> None:
    for path in (
        command.PROJECT / "constraints.txt",
        command.PROJECT / "constraints-device.txt",
        *command.LOCKS.glob("*"),
    ):
        assert pins(path) and all("==" in line for line in pins(path)), path
