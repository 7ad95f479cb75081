"""Cleaning what a tiny build left, for tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from artifacts import layout
from artifacts.in_use import LOCK_NAME
from flows.clean_store import run_clean
from flows.cleaning import NOT_PUBLISHED
from tasks.housekeeping.model import DAY_S
from tests.flows.tiny import TinyBuild


def clean(build: TinyBuild, *arguments: str, ask: Callable[[str], str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return run_clean(["--profile", str(build.profile), *arguments], ask)


def age(build: TinyBuild, days: float = 100.0) -> None:
    """Let everything that the build left be so old."""
    moment = time.time() - days * DAY_S
    for top in ("store", "registry", "release", "cache", NOT_PUBLISHED):
        for path in (build.folder / top).rglob("*"):
            os.utime(path, (moment, moment), follow_symlinks=False)


def sound(build: TinyBuild) -> bool:
    """Tell whether every stored byte and every release is as it should be."""
    return layout.check(build.folder / "registry") == [] and build.workspace.content.verify_all() == []


def files(build: TinyBuild) -> set[str]:
    """Name all files, locks left out."""
    found = {str(path.relative_to(build.folder)) for path in build.folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(LOCK_NAME)}
