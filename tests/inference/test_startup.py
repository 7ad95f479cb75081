"""What a fresh interpreter loads: help, usage errors and `import inference` wait for no large package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

ROOT = Path(__file__).parents[2]

LARGE = {"numpy", "cv2", "pydantic", "requests"}

HELP = """
from inference.__main__ import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == {status}, end.code
"""


def loaded_by(code: str) -> str:
    """The large packages that a fresh interpreter has loaded behind this code."""
    shown = f"{code}\nimport sys; print('loaded:', *sorted({LARGE!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", shown], cwd=str(ROOT), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().rpartition("loaded:")[2].strip()


def test_importing_the_package_loads_nothing_large() -> None:
    assert loaded_by("import inference") == ""


def test_the_packages_names_are_loaded_when_they_are_asked_for() -> None:
    assert loaded_by("from inference import Detections, Detector") == "cv2 numpy pydantic"


@pytest.mark.parametrize("command", [[], *([name] for name in ("detect", "pull", "validate", "bench", "doctor"))])
def test_help_loads_nothing_large(command: List[str]) -> None:
    assert loaded_by(HELP.format(arguments=[*command, "--help"], status=0)) == ""


def test_wrong_usage_is_told_before_anything_large_is_loaded() -> None:
    assert loaded_by(HELP.format(arguments=["detect", "--conf", "2"], status=2)) == ""
