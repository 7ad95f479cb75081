"""The progress line: what it says, and where it keeps silent."""

from __future__ import annotations

import io
from typing import Optional

import pytest

from inference.progress import Progress, progress_text


@pytest.mark.parametrize(
    "done, total, seconds, text",
    [
        (50, 200, 4.0, "50/200 images, 12.5 images/s, 0:12 left"),
        (1, 100_000, 2.0, "1/100000 images, 0.5 images/s, 55:33:18 left"),
        (200, 200, 4.0, "200/200 images, 50.0 images/s, 0:00 left"),
        (201, 200, 4.0, "201/200 images, 50.2 images/s"),
        (50, None, 4.0, "50 images, 12.5 images/s"),
        (0, 200, 0.0, "0/200 images, 0.0 images/s"),
    ],
)
def test_the_line_says_how_many_how_fast_and_how_long(
    done: int, total: Optional[int], seconds: float, text: str
) -> None:
    assert progress_text(done, total, seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_taken_away_again() -> None:
    terminal = Terminal()
    progress = Progress(3, terminal)
    for _ in range(3):
        progress.step()
    progress.clear()
    assert progress.done == 3
    assert "1/3 images" in terminal.getvalue() and "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_nothing_is_written_where_nobody_looks() -> None:
    stream = io.StringIO()
    progress = Progress(3, stream)
    progress.step()
    progress.clear()
    assert stream.getvalue() == "" and progress.done == 1
