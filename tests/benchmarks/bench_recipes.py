"""On generated scenes

The sample's network on its generated scenes (256 x 256, 64 of them for accuracy), INT8 for BM1684X with the float
tail, in the compiler's interpreter. *Ours*: 200 curated scenes out of 600, as the very tensors that the device feeds.
Each other row changes one thing; what the vendor's scripts do (sophgo/sophon-demo,
sample/CenterNet/scripts/gen_int8bmodel_mlir.sh at c7c94bb) is channels in RGB order with means in BGR order, one
rounded scale for all channels, letterboxed, and as many of 200 images as the folder has, which for the usual COCO128
are 128. Then: how many images does it take, and does choosing them earn its name?
"""

from __future__ import annotations

import pytest

from tests.benchmarks.page import Section
from tests.benchmarks.recipes import Experiments, write_choice, write_recipes, write_sizes
from tests.benchmarks.subject import scenes

PAGE = "calibration.md"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    """One network for all."""
    return Experiments(scenes(tmp_path_factory.mktemp("recipes")))


def bench_recipes(tried: Experiments, section: Section) -> None:
    write_recipes(tried, section)


def bench_sizes(tried: Experiments, section: Section) -> None:
    write_sizes(tried, section)


def bench_choice(tried: Experiments, section: Section) -> None:
    write_choice(tried, section)
