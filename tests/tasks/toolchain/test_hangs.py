"""A command that hangs is ended at its time limit, however it hangs, and its log is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.toolchain.hangs import KINDS, hang


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_ended_with_all_that_belongs_to_it(kind: str, tmp_path: Path) -> None:
    seconds, wrong = hang(tmp_path / "hang", kind, limit_s=2.0)
    assert wrong == [] and seconds < 30
