"""What all tests share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no fault of the code. `many` is for `make reliability ONLY=hostile`.
hypothesis.settings.register_profile("usual", deadline=None)
hypothesis.settings.register_profile("many", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("usual")

COCO_MINI = Path(__file__).resolve().parents[2] / "shared" / "coco-mini"


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """Real photographs with boxes, which are not part of the project."""
    if not COCO_MINI.is_dir():
        pytest.skip("the photographs are not here: a folder shared/coco-mini is looked for beside the checkout")
    return COCO_MINI


@pytest.fixture
def nothing_is_collected() -> Iterator[None]:
    """For a test that exhausts the stack: a finalizer of another test's garbage would run there, and fail for it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
