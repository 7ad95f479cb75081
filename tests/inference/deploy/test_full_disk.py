"""A device whose disk refuses to be written, at any write, keeps what it runs and goes on when it may."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from tests.inference.deploy.troubled import pulls_in_trouble

if sys.version_info < (3, 10):  # noqa: UP036
    pytest.skip("before 3.10 pathlib keeps the calls that it found at its import", allow_module_level=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_pull_that_is_refused_at_any_write_says_so_and_leaves_the_old_release_or_the_new_one(
    tmp_path: Path, number: int
) -> None:
    assert pulls_in_trouble(tmp_path, number) > 30
