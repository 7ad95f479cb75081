from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasks.bundle import packages
from tasks.bundle.packages import Target, collect_for, collect_here, wheel_of
from tasks.errors import BundleNotMade

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
    for name in WHEELS:
        (tmp_path / name).touch()
    found = collect_here(["torch==2.13.0+cpu", "typing-extensions==4.16.0"], Path(sys.executable), tmp_path)
    assert found == {name: tmp_path / name for name in WHEELS[:2]}


def test_a_wheel_that_pip_did_not_leave_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_run", lambda command: "")
    with pytest.raises(BundleNotMade, match="b==2"):
        collect_for(["b==2"], Target("3.8", "aarch64"), tmp_path)


def test_only_what_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def pip(command: list[str]) -> str:
        asked.extend(Path(command[-1]).read_text().split())
        (tmp_path / "b-2-py3-none-any.whl").touch()
        return ""

    monkeypatch.setattr(packages, "_run", pip)
    (tmp_path / "a-1-py3-none-any.whl").touch()
    found = collect_for(["a==1", "b==2"], Target("3.8", "aarch64"), tmp_path)
    assert asked == ["b==2"]
    assert sorted(found) == ["a-1-py3-none-any.whl", "b-2-py3-none-any.whl"]


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
