"""What `make build BUNDLE=FILE` would run, and in which environment. In a copy, where nothing is built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from settings.locations import PROJECT
from tasks.toolchain.installer import uv_environment

# Each of them once reached pip or uv, or might: what a user's shell or a container may have set.
LEFT_OVER = {
    "PIP_INDEX_URL": "http://127.0.0.1/simple",
    "PIP_NO_BINARY": ":all:",
    "PIP_TARGET": "/elsewhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "UV_CONSTRAINT": "/elsewhere/constraints.txt",
    "UV_OVERRIDE": "/elsewhere/overrides.txt",
    "UV_NO_BINARY": "1",
    "UV_OFFLINE": "0",
    "UV_CACHE_DIR": "/elsewhere/cache",
    "UV_FIND_LINKS": "/elsewhere/wheels",
    "UV_SOMETHING_OF_NEXT_YEAR": "1",
}
SHOW = "environment:\n\t@env\nprofile:\n\t@echo '$(PROFILE)'\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "constraints.txt"):
        shutil.copy(PROJECT / name, folder / name)
    (folder / "show.mk").write_text(SHOW)
    (folder / "bundle.tar").touch()
    return folder


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    command = ["make", "-f", "Makefile", "-f", "show.mk", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_build_from_a_bundle_unpacks_it_first_and_compares_last(checkout: Path) -> None:
    done = make(checkout, "-n", "build", "BUNDLE=bundle.tar", "ARGS=--explain")
    lines = done.stdout.splitlines()
    steps = [
        "python3 -m flows.unbundle 'bundle.tar' --to build/bundle",
        ".venv/bin/python -m pip install --quiet --constraint constraints.txt uv",
        ".venv/bin/python -m flows.build --profile build/bundle/profile.toml --explain",
    ]
    assert [line for line in lines if line in steps] == steps, done.stdout + done.stderr
    assert lines[-1].endswith("-m flows.bundle compare --profile build/bundle/profile.toml --explain")
    # The folder is hashed before anything of it is installed.
    assert lines.index(steps[0]) < next(place for place, line in enumerate(lines) if "-m venv" in line)


def test_a_build_without_one_does_none_of_that(checkout: Path) -> None:
    done = make(checkout, "-n", "build", "PROFILE=coco")
    assert ".venv/bin/python -m flows.build --profile coco " in done.stdout.splitlines()
    assert "bundle" not in done.stdout


def test_a_file_with_any_name_is_found(checkout: Path) -> None:
    (checkout / "my stick's bundle.tar").touch()
    done = make(checkout, "-n", "build", "BUNDLE=my stick's bundle.tar")
    assert "-m flows.unbundle 'my stick'\\''s bundle.tar' --to build/bundle\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["BUNDLE="], "names no file"),
        (["BUNDLE= "], "names no file"),
        (["BUNDLE=nothing.tar"], "is no file here"),
        (["BUNDLE=."], "is no file here"),
        (["BUNDLE=bundle.tar", "PROFILE=coco"], "its own profile"),
        (["BUNDLE=bundle.tar", "ARGS=--profile coco"], "its own profile"),
    ],
)
def test_what_would_quietly_ask_the_network_is_refused(checkout: Path, arguments: list[str], said: str) -> None:
    done = make(checkout, "-n", "build", *arguments)
    assert done.returncode == 2
    assert said in done.stderr and done.stdout == ""


def test_a_variable_that_is_empty_in_the_environment_is_refused_too(checkout: Path) -> None:
    assert "names no file" in make(checkout, "-n", "build", BUNDLE="").stderr


@pytest.mark.parametrize("how", [[], ["-e"]])
def test_a_profile_of_the_environment_does_not_take_the_place_of_the_bundles(checkout: Path, how: list[str]) -> None:
    done = make(checkout, *how, "profile", "BUNDLE=bundle.tar", PROFILE="coco", UNPACKED="/elsewhere")
    assert done.stdout == "build/bundle/profile.toml\n"


@pytest.mark.parametrize("how", [[], ["-e"], [f"{name}={value}" for name, value in LEFT_OVER.items()]])
def test_no_setting_of_this_machines_installers_reaches_them(checkout: Path, how: list[str]) -> None:
    done = make(checkout, *how, "environment", "BUNDLE=bundle.tar", **LEFT_OVER)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("PIP_", "UV_")))
    wheels = checkout / "build" / "bundle" / "wheels"
    uvs = {
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_FIND_LINKS": f"{wheels}/build,{wheels}/toolchain",
        "UV_CACHE_DIR": f"{checkout}/build/bundle-cache",
    }
    assert found == uvs | {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{wheels}/build",
    }
    # What makes the compiler's environment gets the same.
    assert {name: value for name, value in uv_environment(found).items() if name in uvs} == uvs


def test_without_a_bundle_those_settings_are_left_alone(checkout: Path) -> None:
    done = make(checkout, "environment", **LEFT_OVER)
    assert all(f"{name}={value}" in done.stdout.splitlines() for name, value in LEFT_OVER.items())


@pytest.mark.parametrize("python", ["python3.8", "/usr/bin/python3.8", "3", ""])
def test_a_program_in_the_place_of_the_boards_version_is_refused_at_once(checkout: Path, python: str) -> None:
    done = make(checkout, "-n", "device-bundle", f"PYTHON={python}")
    assert done.returncode == 2
    assert "make device-bundle PYTHON=3.8" in done.stderr and done.stdout == ""


def test_the_boards_version_is_handed_on_and_a_python_of_the_environment_is_not(checkout: Path) -> None:
    assert " --python 3.9 " in make(checkout, "-n", "device-bundle", "PYTHON=3.9").stdout
    assert " --python 3.8 " in make(checkout, "-n", "device-bundle", PYTHON="python3.12").stdout
