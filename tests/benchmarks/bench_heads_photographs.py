"""On photographs

The same ways with the sample's network fitted to 128 photographs of COCO train2017 and measured on these very ones,
calibrated on 150 curated photographs of val2017 that it has never seen. Its weights are not part of the project:
`make bench ONLY=heads_photographs ARGS=--photographs-weights=FILE`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.page import Section
from tests.benchmarks.recipes import curated, table_of
from tests.benchmarks.subject import Subject, photographs
from tests.benchmarks.tails import Tails, write_accuracy

PAGE = "heads.md"


@pytest.fixture(scope="module")
def subject(photographs_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The network and its photographs."""
    return photographs(tmp_path_factory.mktemp("heads"), photographs_weights)


@pytest.fixture(scope="module")
def tails(subject: Subject) -> Tails:
    """It, calibrated."""
    table = table_of(subject, curated(subject, subject.amounts.usual))
    return Tails(subject.traced, subject.model, table, subject.toolchain, subject.workspace)


def bench_accuracy(subject: Subject, tails: Tails, section: Section) -> None:
    reference = subject.reference
    section.say(f"The network itself has AP {reference.ap or 0:.4f} on these {reference.images} photographs.")
    write_accuracy(subject, tails, "BM1684X", section)
