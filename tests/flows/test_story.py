"""What the page of a build's run tells."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from artifacts import layout
from flows import story
from flows.findings import Findings
from flows.story_text import refusal, release_text, summary
from tasks.publish import PublishedRelease
from tasks.report.page import draw_report
from tasks.report.text import about
from tasks.report.view import commands
from tests.flows.conftest import Run
from tests.flows.pages import artifacts_of, runs_of
from tests.flows.tiny import TinyBuild
from tests.tasks.pictured import HOSTILE, pictured
from tests.tasks.results import COMPILER, SPEC, settings_in, workspace_in

KEYS = {"profile-toml-summary", "profile-toml-variants", "profile-toml-ladder", "profile-toml-release"}


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    workspace = workspace_in(tmp_path)
    return Findings(settings_in(tmp_path), SPEC, COMPILER, pictured(workspace), workspace)


def told(findings: Findings) -> str:
    build = about(findings.settings, "tpu-mlir 1.30.2")
    drawn = draw_report.fn(findings.results, build, commands(findings.results), findings.workspace)
    return summary(findings, drawn)


def test_a_build_tells_what_it_made_and_where_the_release_is(finished: TinyBuild) -> None:
    found = artifacts_of(runs_of(finished)[0])
    assert set(found) - {"profile-toml-classes"} == KEYS
    shown = str(found["profile-toml-summary"].data)
    assert shown.count("](data:image/") >= 3 and "BM1684X/centernet_int8_4b.bmodel" in shown
    release = str(found["profile-toml-release"].data)
    assert finished.digest in release and f"-m inference detect --model oci:{finished.folder}" in release
    variants = json.loads(str(found["profile-toml-variants"].data))
    assert [row["file"] for row in variants] == [one.variant.path for one in finished.release.variants]


def test_the_page_is_a_file_of_the_release_and_lies_beside_it(finished: TinyBuild) -> None:
    inside = (finished.folder / "release" / "report.html").read_bytes()
    assert inside == (finished.folder / "report.html").read_bytes()
    assert b"BM1684X/centernet_int8_4b.bmodel" in inside and layout.check(finished.folder / "registry") == []


def test_a_gate_that_refuses_is_told_with_its_reasons(run: Run, again: TinyBuild) -> None:
    again.switch("spoil", "--chip bm1684x")
    assert run(again, "--set", "calibration.seed=5", "--set", "quantize.escalation=[{method='max'}]") == 1
    found = artifacts_of(runs_of(again)[-1])
    ways = json.loads(str(found["profile-toml-ways"].data))
    assert [(row["chip"], row["way"]) for row in ways] == [
        ("BM1684X", "as the settings say"),
        ("BM1684X", "method max"),
    ]
    assert "profile-toml-release" not in found
    text = str(found["profile-toml-gate"].data)
    assert "1 variant did not pass" in text and "cosine of size is 0.00000, below 0.9" in text


def test_a_page_that_cannot_be_written_is_a_warning_and_the_release_is_published(
    run: Run, again: TinyBuild, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(story, "create_markdown_artifact", refuse)
    assert run(again) == 0
    shown = capsys.readouterr().err
    assert "the summary could not be written to the page of the run: ConnectionError: the server is gone" in shown
    assert "the release could not be written" in shown
    assert artifacts_of(runs_of(again)[-1]) == {}


def test_outside_of_a_run_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        story.tell_verdict("# Held", "sample-verdict")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "key"), [("sample-summary", "sample-summary"), ("Mein Profil_2.toml-gate", "mein-profil-2-toml-gate")]
)
def test_keys_are_of_letters_digits_and_dashes(text: str, key: str) -> None:
    assert story.slug(text) == key


def test_names_that_look_like_markup_do_not_leave_their_place(findings: Findings) -> None:
    text = told(findings)
    assert HOSTILE not in text and r"\<img src=x onerror=alert(1)\>\|\`.png" in text


def test_the_summary_of_a_refused_build_begins_with_the_reasons(findings: Findings) -> None:
    results = pictured(findings.workspace, failing=("too | bad",))
    text = told(findings._replace(results=results))
    assert text.index(r"too \| bad") < text.index("| file |")


def test_a_release_that_no_channel_names_says_so(findings: Findings) -> None:
    held = PublishedRelease(
        digest="sha256:aa", version="1.2", changed=True, folder=None, repository="/r", pushed="h/c:1.2"
    )
    text = release_text(held, findings)
    assert "no channel was moved to it" in text and "folder:" not in text
    assert "oci:/r:1.2" in text and "python -m inference pull h/c:1.2" in text


def test_a_refusal_names_where_to_look(findings: Findings, tmp_path: Path) -> None:
    text = refusal([("a.bmodel", ("too bad", "worse"))], findings.settings)
    assert "`a.bmodel`: too bad; worse" in text and str(tmp_path) in text
