"""The command line of a build: exit status, what the terminal shows, and how a build ends before its time."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from artifacts import layout
from flows.command import run_build
from settings.load import load_settings
from tasks.journal import Outcome
from tests.flows.conftest import Run
from tests.flows.tiny import TinyBuild, wait_until

Capture = pytest.CaptureFixture[str]
Hold = Callable[..., subprocess.Popen[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(prefect_server: None) -> str:
    """Where the tests' Prefect server is, for builds in processes of their own."""
    return str(get_current_settings().api.url)


@pytest.fixture
def held(server: str) -> Iterator[Hold]:
    """Starts a build as a process of its own, and waits until one of its compiler commands is held."""
    processes: list[subprocess.Popen[str]] = []

    def hold(build: TinyBuild, pattern: str, *arguments: str) -> subprocess.Popen[str]:
        build.switch("hold", pattern)
        processes.append(build.start(*arguments, PREFECT_API_URL=server))
        wait_until((build.environment / "held").exists, processes)
        return processes[-1]

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def living(word: str) -> list[int]:
    """Ids of the processes, but for this one, that have a word in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line, state = (entry / "cmdline").read_bytes(), (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if word.encode() in line and state not in "ZX" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_all_that_is_wrong_with_the_settings_is_said_at_once(capsys: Capture) -> None:
    wrong = ("--set", "workers=0", "--set", "network.widht=1", "--set", 'matrix=[{chip="BM1685", precisions=["fp32"]}]')
    assert run_build(wrong) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("3 problems in the settings, nothing was started.")
    for key in ("workers", "network.widht", "matrix"):
        assert key in shown.err


def test_a_profile_that_does_not_exist_is_wrong_usage(capsys: Capture) -> None:
    assert run_build(["--profile", "cocoa"]) == 2
    assert "did you mean coco?" in capsys.readouterr().err


def test_an_unknown_option_is_wrong_usage(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        run_build(["--profil=coco", "--wat"])
    assert caught.value.code == 2 and "--wat" in capsys.readouterr().err


def test_the_settings_can_be_looked_at_without_anything_being_done(tmp_path: Path, capsys: Capture) -> None:
    assert run_build(["--settings", "--set", "workers=3", "--set", f"store.path={tmp_path}/store"]) == 0
    text = capsys.readouterr().out
    assert "workers = 3  # --set" in text and not (tmp_path / "store").exists()
    (tmp_path / "again.toml").write_text(text)
    assert load_settings(tmp_path / "again.toml", environ={}).workers == 3


def test_a_mistake_does_not_wait_for_prefect_or_torch() -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['build', '--profile', 'cocoa']\n"
        "try: runpy.run_module('flows.build', run_name='__main__')\n"
        "except SystemExit as done: assert done.code == 2\n"
        "print(sorted({'prefect', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_disk_that_is_too_full_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 0, 10**9))
    assert run_build(["--set", f"store.path={tmp_path}/store"]) == 1
    shown = capsys.readouterr()
    assert "The build failed. The build needs about " in shown.err and "has 1.0 GB free" in shown.err
    assert not list((tmp_path / "store").glob("logs/*")) and "Traceback" not in shown.err


def test_a_store_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert run_build(["--set", f"store.path={tmp_path}/file/store"]) == 1
    shown = capsys.readouterr()
    assert "The build failed. Cannot write below" in shown.err and "Traceback" not in shown.err


def test_a_prefect_server_that_is_not_there_is_named(tiny: TinyBuild, capsys: Capture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            assert run_build(["--profile", str(tiny.profile)]) == 1
    shown = capsys.readouterr().err
    assert f"The build failed. No Prefect server answers at {url}, which PREFECT_API_URL names" in shown
    assert "Traceback" not in shown and "unforeseen" not in shown


def test_weights_that_are_none_fail_in_one_paragraph(run: Run, tiny: TinyBuild, capsys: Capture) -> None:
    (tiny.folder / "weights.pth").write_bytes(b"not weights")
    assert run(tiny) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line and not line[0].isdigit()]
    assert lines[0].startswith("The build failed. ") and "Traceback" not in "\n".join(lines)


def test_what_nobody_foresaw_goes_to_a_file_and_the_terminal_says_which(
    run: Run, again: TinyBuild, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("flows.build.conclude", stumble)
    assert run(again) == 1
    shown = capsys.readouterr().err
    (log,) = again.workspace.logs.glob("unforeseen-*.log")
    paragraph = shown[shown.index("The build failed") :]
    assert paragraph.startswith(
        "The build failed on something that it does not foresee: ZeroDivisionError: of all things"
    )
    assert f"The traceback is in {log}." in paragraph and "Traceback (most" not in paragraph
    assert 'raise ZeroDivisionError("of all things")' in log.read_text()


def test_a_disk_that_fills_up_half_way_is_said_to_be_full(
    run: Run, again: TinyBuild, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(again.folder / "store" / "scratch" / "x"))

    monkeypatch.setattr("flows.build.conclude", fill)
    assert run(again) == 1
    shown = capsys.readouterr().err
    assert "The build failed. No space left while writing below" in shown and "unforeseen" not in shown


def test_a_signal_ends_the_build_and_the_compiler_and_keeps_what_is_finished(again: TinyBuild, held: Hold) -> None:
    process = held(again, "run_calibration", "--set", "calibration.seed=5")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "The build was stopped by SIGTERM. What is finished is kept" in err
    wait_until(lambda: not living(str(again.folder)))
    assert again.entries()["curate"].outcome == "made" and again.entries()["calibrate"].outcome == "failed"
    # Nothing of Prefect's, and one line a time of ours.
    ours = re.compile(r"\d\d:\d\d:\d\d  [a-z].*|The build was stopped by .*|")
    assert [line for line in err.splitlines() if not ours.fullmatch(line)] == [] and "prefect" not in err.lower()


def test_a_build_killed_while_compiling_ends_in_the_same_release(
    tiny: TinyBuild, finished: TinyBuild, held: Hold, run: Run
) -> None:
    process = held(tiny, "--enable_lghash")
    process.kill()
    process.wait()
    wait_until(lambda: not living(str(tiny.environment)))
    assert list((tiny.folder / "store" / "scratch").iterdir())
    tiny.switch("hold", None)
    assert run(tiny) == 0
    assert tiny.digest == finished.digest
    assert list((tiny.folder / "store" / "scratch").iterdir()) == []
    assert len(tiny.calls()) < 2 * len(finished.calls())


def test_two_builds_at_once_share_the_work_and_give_one_release(
    tiny: TinyBuild, finished: TinyBuild, held: Hold, run: Run
) -> None:
    other = held(tiny, "model_transform")

    def let_go_when_both_want_it() -> None:
        wait_until(lambda: len([text for text in tiny.journals() if '"slot":"import b1"' in text]) == 2)
        tiny.switch("hold", None)

    helper = threading.Thread(target=let_go_when_both_want_it)
    helper.start()
    assert run(tiny) == 0
    helper.join()
    _, err = other.communicate(timeout=120)
    assert other.returncode == 0, err
    assert tiny.digest == finished.digest and sorted(tiny.calls()) == sorted(finished.calls())
    assert layout.check(tiny.folder / "registry") == []
    imports = {entry.outcome for entry in tiny.entries_of_all("import b1")}
    assert imports == {Outcome.MADE, Outcome.WANTED}
