"""The page for whoever operates this names every kind of failure and every command that it should."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operations.md"
MODULES = ("artifacts.errors", "tasks.errors", "flows.errors", "flows.cluster.errors")

# Of records inside a release and of bmodels: a reader meets them as damage of the registry, which the page has.
INSIDE = {"BadDigest", "BadRecord", "BadVariant", "BmodelError", "NewerSchema", "BadReference", "GateNotPassed"}


def failures() -> Iterator[str]:
    for name in MODULES:
        module = importlib.import_module(name)
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Exception) and not kind.__subclasses__():
                yield kind.__name__


def test_every_kind_of_failure_has_an_advice() -> None:
    page = PAGE.read_text()
    missing = {name for name in failures() if not re.search(rf"`{name}`", page)} - INSIDE
    assert missing == set()


@pytest.mark.parametrize("name", sorted(re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text())))
def test_every_page_that_it_refers_to_is_there(name: str) -> None:
    assert (PAGE.parent / name).is_file()


def test_every_command_of_ours_that_it_gives_exists() -> None:
    page = PAGE.read_text()
    modules = set(re.findall(r"python -m ((?:flows|inference)[a-z._]*)", page))
    assert {"flows.serve", "flows.promote", "flows.bisect"} <= modules
    assert all(importlib.util.find_spec(module) for module in modules)
    targets = set(re.findall(r"make ([a-z-]+)", page)) - {"it"}
    makefile = (ROOT / "Makefile").read_text()
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
