from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

from tasks.bundle import packages
from tasks.bundle.packages import GLIBCS, Target, collect_for, collect_here, wheel_of
from tasks.errors import BundleNotMade
from tests.tasks.bundle.wheels import Index, wheel

WHEELS = [
    "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "typing_extensions-4.16.0-py3-none-any.whl",
    "typing_extensions-4.17.0-py3-none-any.whl",
    "half.whl",
    "PyYAML-6.0.3-cp310-cp310-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
]


@pytest.mark.parametrize(
    ("pin", "wheel"),
    [
        ("torch==2.13.0+cpu", WHEELS[0]),
        ("torch==2.13.0", WHEELS[0]),
        ("torch==2.13.0+cu13", None),
        ("torch==2.13", WHEELS[0]),
        ("torch==2.13.1", None),
        ("typing-extensions==4.17.0", WHEELS[2]),
        ("typing.extensions==4.16.0", WHEELS[1]),
        ("pyyaml==6.0.3", WHEELS[4]),
        ("half==1", None),
    ],
)
def test_a_wheel_is_known_by_name_and_version_as_the_standard_compares_them(pin: str, wheel: str | None) -> None:
    assert wheel_of(pin, WHEELS) == wheel


def test_a_board_takes_wheels_of_every_older_c_library_and_of_no_newer_one() -> None:
    tags = Target("3.8", "aarch64", "2.17").tags
    assert tags[:2] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
    assert {"manylinux_2_5_aarch64", "manylinux1_aarch64", "manylinux2010_aarch64"} <= set(tags)
    assert "manylinux_2_18_aarch64" not in tags
    assert Target("3.8", "aarch64", "2.31").platform == "aarch64-manylinux_2_31"


def refuse(command: object) -> str:
    raise AssertionError("a program was started")


def test_wheels_that_lie_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_run", refuse)
    for name in WHEELS[:3]:
        wheel(tmp_path / "kept", name)
    found = collect_here(["torch==2.13.0+cpu", "typing-extensions==4.16.0"], Path(sys.executable), tmp_path / "kept")
    assert found == {name: tmp_path / "kept" / name for name in WHEELS[:2]}


def test_a_wheel_that_pip_did_not_leave_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_run", lambda command: "")
    with pytest.raises(BundleNotMade, match="b==2"):
        collect_for(["b==2"], Target("3.8", "aarch64"), tmp_path / "kept")


def test_only_what_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index({})
    monkeypatch.setattr(packages, "_run", index)
    wheel(tmp_path / "kept", "a-1-py3-none-any.whl")
    before = (tmp_path / "kept" / "a-1-py3-none-any.whl").stat().st_ino
    found = collect_for(["a==1", "b==2"], Target("3.8", "aarch64"), tmp_path / "kept")
    assert index.brought == ["b==2"]
    assert sorted(found) == ["a-1-py3-none-any.whl", "b-2-py3-none-any.whl"]
    assert found["a-1-py3-none-any.whl"].stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(found)


def test_pip_itself_brings_wheels_from_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheel(tmp_path / "index", "a_tiny_one-1-py3-none-any.whl")
    wheel(tmp_path / "index", "b_tiny_one-2-py3-none-manylinux_2_31_aarch64.whl")
    here = collect_here(["a-tiny-one==1"], Path(sys.executable), tmp_path / "here")
    assert here == {"a_tiny_one-1-py3-none-any.whl": tmp_path / "here" / "a_tiny_one-1-py3-none-any.whl"}
    pins = ["a-tiny-one==1", "b-tiny-one==2"]
    assert len(collect_for(pins, Target("3.8", "aarch64", "2.31"), tmp_path / "newer")) == 2
    with pytest.raises(BundleNotMade, match="b-tiny-one"):
        collect_for(pins, Target("3.8", "aarch64", "2.17"), tmp_path / "older")


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped"])
def test_a_wheel_that_is_not_whole_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    index = Index({})
    monkeypatch.setattr(packages, "_run", index)
    kept = wheel(tmp_path / "kept", "a-1-py3-none-any.whl")
    whole = kept.read_bytes()
    place = whole.index(b"INSTALLED")
    flipped = whole[:place] + b"X" + whole[place + 1 :]
    kept.write_bytes({"cut": whole[: len(whole) // 2], "emptied": b"", "flipped": flipped}[damage])
    collect_for(["a==1"], Target("3.8", "aarch64"), tmp_path / "kept")
    assert index.brought == ["a==1"]
    assert zipfile.ZipFile(kept).testzip() is None


def test_what_a_pip_that_was_ended_left_is_kept_where_it_is_whole_and_never_packed_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index({})

    def ended(command: list[str]) -> str:
        index(command)
        half = Path(command[command.index("--wheel-dir") + 1]) / "b-2-py3-none-any.whl"
        half.write_bytes(half.read_bytes()[:-40])
        raise KeyboardInterrupt

    monkeypatch.setattr(packages, "_run", ended)
    with pytest.raises(KeyboardInterrupt):
        collect_here(["a==1", "b==2"], Path(sys.executable), tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["a-1-py3-none-any.whl"]

    # Killed, it cleans up nothing: not even then is anything of it under its final name.
    (tmp_path / "kept" / ".fetching").mkdir()
    (tmp_path / "kept" / ".fetching" / "b-2-py3-none-any.whl").write_bytes(b"half")
    monkeypatch.setattr(packages, "_run", index)
    index.brought.clear()
    found = collect_here(["a==1", "b==2"], Path(sys.executable), tmp_path / "kept")
    assert index.brought == ["b==2"]
    assert all(zipfile.ZipFile(path).testzip() is None for path in found.values())


def test_a_helper_that_was_killed_in_the_making_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[str]] = []

    def uv(command: list[str]) -> str:
        made.append(command)
        (tmp_path / "pip" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pip" / "bin" / "python").touch()
        if len(made) == 1:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(packages, "_run", uv)
    with pytest.raises(KeyboardInterrupt):
        packages.helper(Path(sys.executable), tmp_path / "pip")
    for _ in range(2):
        packages.helper(Path(sys.executable), tmp_path / "pip")
    assert len(made) == 2


def test_a_program_that_fails_is_told_by_its_last_words_without_noise_and_passwords(tmp_path: Path) -> None:
    script = tmp_path / "pip"
    script.write_text(
        "#!/bin/sh\necho 'WARNING: Location x is ignored' >&2\n"
        "echo 'ERROR: no such package at https://me:secret@example.com/simple' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    with pytest.raises(BundleNotMade) as caught:
        packages._run([str(script)])
    assert "no such package" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "ignored" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_packages_that_cannot_be_had_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(command: object) -> str:
        raise BundleNotMade("no such package")

    monkeypatch.setattr(packages, "_run", refused)
    with pytest.raises(BundleNotMade):
        collect_for(["b==2"], Target("3.8", "aarch64"), tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_the_c_libraries_are_those_that_uv_can_be_told() -> None:
    command = [uv.find_uv_bin(), "pip", "compile", "--no-config", "--python-platform", "none", "-"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    for machine in ("aarch64", "x86_64"):
        known = re.findall(rf"{machine}-manylinux_([0-9_]+)", done.stderr)
        assert tuple(one.replace("_", ".") for one in known) == GLIBCS


@pytest.mark.parametrize(("glibc", "asked"), [("2.41", "2_40"), ("2.36", "2_36"), ("2.27", "2_17"), ("2.5", "2_17")])
def test_uv_is_told_a_c_library_that_it_knows(glibc: str, asked: str) -> None:
    assert Target("3.11", "x86_64", glibc).platform == f"x86_64-manylinux_{asked}"
