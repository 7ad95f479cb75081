"""Builds on disks that become full or read-only, and on one that is taken away."""

from __future__ import annotations

import errno

import pytest

from tests.flows.tiny import TinyBuild
from tests.flows.troubled import builder, built_in_trouble, one_in


@pytest.mark.parametrize("numbers", [(errno.ENOSPC, errno.EDQUOT), (errno.EROFS,)])
def test_a_build_that_is_refused_a_write_says_so_and_goes_on_when_it_may(
    again: TinyBuild,
    finished: TinyBuild,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    numbers: tuple[int, ...],
) -> None:
    story = built_in_trouble(again, builder(again, monkeypatch, capsys), numbers, one_in(6))
    assert len(story.failed) > 3
    assert again.digest == finished.digest
