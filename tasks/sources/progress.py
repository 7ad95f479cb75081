"""How far a download is: a bar on a terminal, two log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from tasks.sources.meter import Meter, Tally, human

logger = logging.getLogger(__name__)


class _BytesBar(Tally):
    """One file, by its bytes."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__()
        self._progress = progress
        self._task = task

    def begin(self, have: int, total: int | None) -> None:
        # A reset forgets the samples too, so that bytes which were here already do not count as speed.
        self._progress.reset(self._task, completed=have, total=total, visible=True)

    def advance(self, count: int) -> None:
        super().advance(count)
        self._progress.advance(self._task, count)


class _FilesBar(_BytesBar):
    """Many files, by their number; bytes only as a rate."""

    def begin(self, have: int, total: int | None) -> None:
        self._progress.update(self._task, visible=True)

    def advance(self, count: int) -> None:
        Tally.advance(self, count)
        self._progress.update(self._task, received=self.received)

    def finish_file(self) -> None:
        super().finish_file()
        self._progress.advance(self._task, 1)


class _LogLines(Tally):
    """One line at the first file that is not here already, one at the end."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._start: float | None = None

    def begin(self, have: int, total: int | None) -> None:
        with self._lock:
            first, self._start = self._start is None, self._start or time.monotonic()
        if first:
            logger.info("downloading %s", self._title)

    def close(self) -> None:
        """Write the last line."""
        if self._start is not None:
            seconds = max(time.monotonic() - self._start, 1e-3)
            amount, rate = human(self.received), human(self.received / seconds)
            logger.info("downloaded %s: %s in %.1f s, %s/s", self._title, amount, seconds, rate)


class _ReceivedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        received = int(task.fields["received"])
        return Text(f"{human(received)}, {human(received / (task.elapsed or 1.0))}/s", style="progress.data.speed")


@contextmanager
def shown(title: str, files: int | None, console: Console | None = None) -> Iterator[Meter]:
    """Draw a bar while the body runs.

    Args:
        title: What is downloaded.
        files: How many files to count; None counts the bytes of one.
        console: Where to draw; standard error when None.

    Yields:
        What to tell about the progress.
    """
    amount = (DownloadColumn(), TransferSpeedColumn()) if files is None else (MofNCompleteColumn(), _ReceivedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        # Not before something is to be downloaded: what is here already needs no bar.
        task = progress.add_task(title, total=files, received=0, visible=False)
        yield _BytesBar(progress, task) if files is None else _FilesBar(progress, task)


@contextmanager
def metered(title: str, files: int | None, show: bool | None) -> Iterator[Meter]:
    """Show or log the progress of what the body does.

    Args:
        title: What is downloaded.
        files: How many files, when the bar is to count files; None when it is to count the bytes of one.
        show: Whether to show a bar; None shows one where standard error is a terminal.

    Yields:
        What to tell about the progress.
    """
    if sys.stderr.isatty() if show is None else show:
        with shown(title, files) as meter:
            yield meter
        return
    lines = _LogLines(title)
    yield lines
    lines.close()
