"""Start-up of the device side.

Whole processes, from their start to their end. Their files lie in the system's cache.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.page import Section

PACKAGES = ("numpy", "opencv-python-headless", "pydantic")

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 15

COMMANDS = {
    "`python -c pass`": ["-c", "pass"],
    "`python -m inference --help`": ["-m", "inference", "--help"],
    "`python -m inference detect --help`": ["-m", "inference", "detect", "--help"],
    "`import inference`": ["-c", "import inference"],
    "`from inference import Detector`": ["-c", "from inference import Detector"],
}


@pytest.fixture(scope="module")
def rows(section: Section) -> Iterator[list[tuple[str, str, str]]]:
    found: list[tuple[str, str, str]] = []
    yield found
    section.table(("process", "median s", "least s"), found)


@pytest.mark.parametrize("what", COMMANDS)
def bench_process(benchmark: Any, rows: list[tuple[str, str, str]], what: str) -> None:
    def run() -> None:
        subprocess.run([sys.executable, *COMMANDS[what]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=2)
    rows.append((what, f"{benchmark.stats.stats.median:.3f}", f"{benchmark.stats.stats.min:.3f}"))
