"""On photographs, by other ways of calibrating

The same as above with photographs of COCO: the sample's network (width 0.25, 256 x 256) fitted to 128 photographs of
train2017 and measured on these very ones, which tells what int8 loses and nothing of how good the network is;
calibrated on photographs of val2017 that it has never seen, 193 candidates. *Ours* are 150 curated ones. The weights
are not part of the project: `make bench ONLY=recipes_photographs ARGS=--photographs-weights=FILE`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.page import Section
from tests.benchmarks.recipes import Experiments, write_recipes
from tests.benchmarks.subject import photographs

PAGE = "calibration.md"


@pytest.fixture(scope="module")
def tried(photographs_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    """One network for all."""
    return Experiments(photographs(tmp_path_factory.mktemp("recipes"), photographs_weights))


def bench_recipes(tried: Experiments, section: Section) -> None:
    write_recipes(tried, section)
