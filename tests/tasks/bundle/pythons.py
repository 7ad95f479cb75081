"""Older Pythons of this machine, for what a user may start with any of them."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def older_python(version: str) -> str:
    """Return the program of a version that works; skip the test where there is none."""
    program = shutil.which(f"python{version}")
    # What is found may be a shim, which starts nothing for a version that is not chosen.
    if program and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
        return program
    pytest.skip(f"no Python {version} is here")
