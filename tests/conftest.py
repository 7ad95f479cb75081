"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

COCO_MINI = Path(__file__).resolve().parents[2] / "shared" / "coco-mini"


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """Real photographs with boxes, which are not part of the project."""
    if not COCO_MINI.is_dir():
        pytest.skip("the photographs are not here: a folder shared/coco-mini is looked for beside the checkout")
    return COCO_MINI
