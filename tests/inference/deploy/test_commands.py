"""The commands pull, rollback and releases, as a user sees them."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from inference.__main__ import main
from inference.deploy import commands
from inference.engines.choose import EngineWish
from tests.inference.deploy.support import INT8, EngineInMemory, publish

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose simulator is the engine in memory."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setenv("CENTERNET_TOOLCHAIN_PYTHON", str(python))
    monkeypatch.setenv("CENTERNET_DEVICE_STORE", str(tmp_path / "device"))
    off: List[float] = []

    def opened(path: Path, chip: str, wish: EngineWish) -> EngineInMemory:
        return EngineInMemory(INT8, dict(enumerate(off)))

    monkeypatch.setattr(commands, "open_engine", opened)
    return tmp_path / "device"


def pull(folder: Path, version: str, *options: str) -> int:
    reference = str(publish(folder, version))
    return main(["pull", reference, "--chip", "BM1684X", "--precision", "int8", "--engine", "simulator", *options])


def test_pull_tests_switches_and_says_so(device: Path, tmp_path: Path, capsys: Capture) -> None:
    assert pull(tmp_path, "1.0.0") == 0
    shown = capsys.readouterr().out
    assert f"self-test passed: {INT8.path}" in shown and "MB fetched" in shown and f"in use now: {device}" in shown
    assert pull(tmp_path, "1.0.0") == 0
    shown = capsys.readouterr().out
    assert "everything was here already" in shown and "was in use already" in shown


def test_pull_tells_of_raw_pixels_where_the_release_has_them_and_nobody_asked(
    device: Path, tmp_path: Path, capsys: Capture
) -> None:
    reference = str(publish(tmp_path, variants=(INT8, INT8.model_copy(update={"io": "raw"}))))
    command = ["pull", reference, "--chip", "BM1684X", "--no-activate"]
    assert main(command) == 0
    assert "raw pixels too, with the same results: --io raw" in capsys.readouterr().out
    assert main([*command, "--io", "float"]) == main([*command, "--all"]) == main([*command, "--io", "raw"]) == 0
    assert "raw pixels too" not in capsys.readouterr().out


def test_pull_says_that_it_put_right_what_was_damaged(device: Path, tmp_path: Path, capsys: Capture) -> None:
    assert pull(tmp_path, "1.0.0") == 0
    path = device / "current" / "release.json"
    path.rename(path.with_name("moved by accident"))
    capsys.readouterr()
    assert pull(tmp_path, "1.0.0") == 0
    shown = capsys.readouterr().out
    assert "everything was here already, and files that were missing or damaged" in shown and path.is_file()


def test_pull_of_more_than_one_model_fails_with_what_there_is(device: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["pull", str(publish(tmp_path)), "--engine", "simulator"]) == 1
    shown = capsys.readouterr().err
    assert "\n  --chip BM1684X --precision fp16 --batch 1 --cores 1\n" in shown
    assert "\n  --chip BM1688 --precision int8 --batch 4 --cores 2\n" in shown
    assert main(["pull", str(publish(tmp_path)), "--chip", "BM9"]) == 2
    assert main(["pull", "no reference"]) == 1
    assert "names no release in a registry" in capsys.readouterr().err


def test_pull_without_an_engine_fetches_nothing_unless_told_not_to_switch(
    device: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CENTERNET_TOOLCHAIN_PYTHON", str(tmp_path / "none"))
    assert pull(tmp_path, "1.0.0") == 1
    assert "--no-activate" in capsys.readouterr().err and not device.exists()
    assert pull(tmp_path, "1.0.0", "--engine", "auto") == 1
    assert "--no-activate" in capsys.readouterr().err and not device.exists()
    assert pull(tmp_path, "1.0.0", "--no-activate") == 0
    assert "not put to use" in capsys.readouterr().out and not (device / "current").exists()
    assert pull(tmp_path, "1.0.0", "--no-self-test") == 0
    assert "self-test skipped" in capsys.readouterr().out and (device / "current").is_dir()


def test_rollback_and_releases_say_what_is_in_use(device: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["releases"]) == 0
    assert "no releases in" in capsys.readouterr().out
    assert main(["rollback"]) == 1
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        assert pull(tmp_path, version) == 0
    assert main(["rollback"]) == 0
    capsys.readouterr()
    assert main(["releases"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["current", "centernet", "1.1.0"],
        ["previous", "centernet", "1.2.0"],
    ]
    assert "sha256:" in lines[0] and lines[0].split()[:2] == ["centernet", "1.0.0"]
    assert main(["releases", "--prune"]) == 0
    shown = capsys.readouterr().out
    assert "removed 1 releases" in shown and len(shown.splitlines()) == 3


def test_releases_say_what_the_vendors_programs_run_of_what_was_pulled(
    device: Path, tmp_path: Path, capsys: Capture
) -> None:
    for version in ("1.0.0", "1.1.0"):
        assert pull(tmp_path, version) == 0
    capsys.readouterr()
    assert main(["releases", "--vendor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1::2]] == ["BM1684X/centernet_int8_1b.bmodel"] * 2
    assert lines[1].endswith("the vendor's programs: all four")
    (device / "current" / "release.json").unlink()
    assert main(["releases", "--vendor"]) == 0
    shown = capsys.readouterr().out
    assert "release.json" in shown.splitlines()[3] and shown.splitlines()[1].endswith("all four")


def test_another_store_is_another_device(device: Path, tmp_path: Path, capsys: Capture) -> None:
    other = tmp_path / "other"
    assert pull(tmp_path, "1.0.0", "--store", str(other)) == 0
    assert (other / "current").is_dir() and not device.exists()
    capsys.readouterr()
    assert main(["releases", "--store", str(other)]) == 0
    assert "current" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["releases"], ["rollback"], ["pull", "oci:{registry}:latest", "--no-self-test"]])
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_store_that_cannot_be_one_is_told(command: List[str], place: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    publish(tmp_path)
    given = [part.format(registry=tmp_path / "registry") for part in command]
    assert main([*given, "--store", str(tmp_path / place)]) == 1
    assert capsys.readouterr().err.startswith("error: ") and (tmp_path / "file").is_file()


def test_a_store_that_is_none_is_told_as_that_and_one_that_was_never_used_is_no_error(
    device: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["releases"]) == 0
    assert "no releases in" in capsys.readouterr().out
    assert main(["releases", "--store", str(tmp_path / "nowhere")]) == 1
    assert f"there is no device store {tmp_path / 'nowhere'}" in capsys.readouterr().err
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "release.json").touch()
    for option in ("--prune", "--verify", "--vendor"):
        assert main(["releases", option, "--store", str(tmp_path / "release")]) == 1
        assert "is no device store: it holds no state.json" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["release.json"]
    assert pull(tmp_path, "1.0.0") == 0 and main(["releases", "--store", str(device)]) == 0


def test_what_the_vendors_programs_run_is_said_of_a_release_anywhere(
    device: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert pull(tmp_path, "1.0.0") == 0
    (folder,) = (device / "releases").iterdir()
    capsys.readouterr()
    assert main(["releases", "--vendor", "--model", str(folder)]) == 0
    assert f"{INT8.path}: the vendor's programs: all four" in capsys.readouterr().out
    assert main(["releases", "--vendor", "--model", str(tmp_path)]) == 1
    assert main(["releases", "--model", str(folder)]) == 2
