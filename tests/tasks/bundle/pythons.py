"""Older Pythons of this machine, for what a user may start with any of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def older_python(version: str) -> str:
    """Return the program of a version that works, pyenv's too; skip the test where there is none."""
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for program in (str(one) for one in found if one is not None):
        # What is found may be a shim, which starts nothing for a version that is not chosen.
        if subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
            return program
    pytest.skip(f"no Python {version} is here")
