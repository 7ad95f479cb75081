"""Where the simulator's Python is looked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Optional

import pytest

from inference.engines.locate import PYTHON_VARIABLE, cache_root, simulator_python
from inference.errors import EngineNotFound


def provision(cache: Path, name: str, version: str, age_s: Optional[float] = None) -> Path:
    """A finished environment, as the build leaves it; returns its interpreter."""
    folder = cache / "toolchains" / name
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.touch(mode=0o755)
    marker = folder / "ready.json"
    marker.write_text(json.dumps({"name": "tpu-mlir", "version": version, "python": str(python)}))
    if age_s is not None:
        os.utime(marker, (1e9 - age_s, 1e9 - age_s))
    return python


def test_the_path_that_was_given_comes_first(tmp_path: Path) -> None:
    given = provision(tmp_path / "a", "tpu-mlir-1.0-x", "1.0")
    other = provision(tmp_path / "b", "tpu-mlir-2.0-x", "2.0")
    environment = {PYTHON_VARIABLE: str(other), "CENTERNET_CACHE": str(tmp_path / "b")}
    assert simulator_python(given, environment) == given


def test_the_variable_comes_before_the_cache(tmp_path: Path) -> None:
    named = provision(tmp_path / "a", "tpu-mlir-1.0-x", "1.0")
    provision(tmp_path / "b", "tpu-mlir-2.0-x", "2.0")
    assert simulator_python(None, {PYTHON_VARIABLE: str(named), "CENTERNET_CACHE": str(tmp_path / "b")}) == named


def test_the_newest_version_is_newest_by_its_numbers(tmp_path: Path) -> None:
    provision(tmp_path, "tpu-mlir-1.9.1-x", "1.9.1")
    newest = provision(tmp_path, "tpu-mlir-1.30.2-x", "1.30.2")
    provision(tmp_path, "tpu-mlir-1.4-x", "1.4")
    assert simulator_python(None, {"CENTERNET_CACHE": str(tmp_path)}) == newest


def test_of_one_version_the_one_provisioned_last_is_taken(tmp_path: Path) -> None:
    provision(tmp_path, "tpu-mlir-1.30.2-aa", "1.30.2", age_s=50)
    last = provision(tmp_path, "tpu-mlir-1.30.2-bb", "1.30.2", age_s=10)
    provision(tmp_path, "tpu-mlir-1.30.2-cc", "1.30.2", age_s=90)
    assert simulator_python(None, {"CENTERNET_CACHE": str(tmp_path)}) == last


def test_unfinished_foreign_and_damaged_environments_are_passed_over(tmp_path: Path) -> None:
    provision(tmp_path, "tpu-mlir-3-x", "3").parent.parent.joinpath("ready.json").unlink()
    provision(tmp_path, "tpu-mlir-4-x", "4").unlink()
    provision(tmp_path, "tpu-mlir-5-x", "5").parent.parent.joinpath("ready.json").write_text("{")
    provision(tmp_path, "tpu-mlir-6-x", "6").parent.parent.joinpath("ready.json").write_text("[]")
    provision(tmp_path, "tpu-nntc-7-x", "7")
    good = provision(tmp_path, "tpu-mlir-1-x", "1")
    assert simulator_python(None, {"CENTERNET_CACHE": str(tmp_path)}) == good


def test_without_any_the_error_says_what_provisions_one(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound, match=f"`make build` provisions it, or set {PYTHON_VARIABLE}"):
        simulator_python(None, {"CENTERNET_CACHE": str(tmp_path)})


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_python_that_was_named_and_is_none_is_an_error_rather_than_passed_over(
    tmp_path: Path, by_variable: bool
) -> None:
    provision(tmp_path, "tpu-mlir-1-x", "1")
    (tmp_path / "text").write_text("not executable")
    environment = {"CENTERNET_CACHE": str(tmp_path)}
    if by_variable:
        environment[PYTHON_VARIABLE] = str(tmp_path / "text")
    with pytest.raises(EngineNotFound, match="is no executable file"):
        simulator_python(None if by_variable else tmp_path / "text", environment)


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"CENTERNET_CACHE": "/here", "XDG_CACHE_HOME": "/there"}, Path("/here")),
        ({"XDG_CACHE_HOME": "/there"}, Path("/there/centernet-sophon")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/centernet-sophon"),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache/centernet-sophon"),
        ({}, Path.home() / ".cache/centernet-sophon"),
    ],
)
def test_the_cache_lies_where_the_user_or_the_xdg_specification_says(environment: dict, expected: Path) -> None:  # type: ignore[type-arg]
    assert cache_root(environment) == expected
