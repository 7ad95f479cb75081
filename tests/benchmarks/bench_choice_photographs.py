"""On photographs, by other images

With the same network and the same candidates as in *On photographs, by other ways of calibrating*: how many images does
it take, and does choosing them earn its name? `make bench ONLY=choice_photographs ARGS=--photographs-weights=FILE`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.page import Section
from tests.benchmarks.recipes import Experiments, write_choice, write_sizes
from tests.benchmarks.subject import photographs

PAGE = "calibration.md"


@pytest.fixture(scope="module")
def tried(photographs_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    """One network for all."""
    return Experiments(photographs(tmp_path_factory.mktemp("choice"), photographs_weights))


def bench_sizes(tried: Experiments, section: Section) -> None:
    write_sizes(tried, section)


def bench_choice(tried: Experiments, section: Section) -> None:
    write_choice(tried, section)
