"""Imports go one way, and the device side stays free of what a board does not have. Read from the source, by ast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

ARROWS = {
    "artifacts": set(),
    "inference": {"artifacts"},
    "settings": {"artifacts"},
    "tasks": {"settings", "artifacts", "inference"},
    "flows": {"tasks", "settings", "artifacts", "inference"},
}

DEVICE_SIDE = {
    # The last one only where signatures are verified; it is plain Python.
    "artifacts": {"numpy", "pydantic", "requests", "typing_extensions", "securesystemslib"},
    "inference": {"numpy", "pydantic", "requests", "typing_extensions", "cv2", "sophon"},
}


class Import(NamedTuple):
    where: str
    line: str
    package: str


def imports_of(source: str, where: str) -> Iterator[Import]:
    """Every import of a module, inside functions and behind conditions too."""
    lines = source.splitlines()
    package = where.partition("/")[0]
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else [package]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        for name in names:
            yield Import(f"{where}:{node.lineno}", lines[node.lineno - 1].strip(), name.partition(".")[0])


def imports_in(package: str) -> Iterator[Import]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield from imports_of(path.read_text(), path.relative_to(ROOT).as_posix())


def wrong_arrows(imports: Iterator[Import], package: str) -> list[str]:
    allowed = ARROWS[package] | {package}
    ours = set(ARROWS) | {"tests"}
    return [
        f"{one.where}: {one.line}   ({package} may not import {one.package})"
        for one in imports
        if one.package in ours and one.package not in allowed
    ]


def strangers(imports: Iterator[Import], package: str) -> list[str]:
    allowed = DEVICE_SIDE[package] | set(ARROWS) | set(sys.stdlib_module_names)
    # The worker is a script that the compiler's own Python runs, with that one's packages.
    return [
        f"{one.where}: {one.line}   (a device does not have {one.package})"
        for one in imports
        if one.package not in allowed and not one.where.startswith("inference/engines/worker_main.py:")
    ]


@pytest.mark.parametrize("package", ARROWS)
def test_imports_go_one_way(package: str) -> None:
    found = wrong_arrows(imports_in(package), package)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("package", DEVICE_SIDE)
def test_the_device_side_needs_nothing_that_a_board_does_not_have(package: str) -> None:
    found = strangers(imports_in(package), package)
    assert not found, "\n" + "\n".join(found)


def test_every_package_with_code_is_under_the_rule() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(ARROWS)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("tasks", "import flows.build"),
        ("tasks", "def late():\n    from flows import build"),
        ("settings", "from tasks.errors import TaskError"),
        ("inference", "if True:\n    import settings.model as model"),
        ("artifacts", "from inference import decode"),
        ("artifacts", "import importlib\nimportlib.import_module('tasks.step')"),
        ("flows", "from tests.flows import conftest"),
    ],
)
def test_an_arrow_the_other_way_is_found_with_its_line(package: str, source: str) -> None:
    (found,) = wrong_arrows(imports_of(source, f"{package}/module.py"), package)
    assert found.startswith(f"{package}/module.py:{len(source.splitlines())}: {source.splitlines()[-1].strip()}")


@pytest.mark.parametrize("source", ["import torch", "def late():\n    import prefect.tasks", "from torch import nn"])
def test_torch_and_prefect_on_the_device_side_are_found(source: str) -> None:
    assert len(list(strangers(imports_of(source, "inference/module.py"), "inference"))) == 1


def test_a_build_loads_torch_only_when_a_step_asks_for_it() -> None:
    program = "import flows.build, sys; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "False"
