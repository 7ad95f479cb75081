"""What the tests of cleaning share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.housekeeping.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A store, a cache folder and a registry, all empty."""
    return Places(tmp_path)
