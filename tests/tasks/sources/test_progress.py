from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from tasks.download import Item, fetch, fetch_many
from tasks.sources.meter import human
from tasks.sources.progress import shown
from tests.tasks.sources.origin import numbered
from tests.tasks.sources.support import QUICK, source_of

MEGABYTE = 1_000_000


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_shows_amount_rate_and_time_left() -> None:
    console = terminal()
    with shown("weights", None, console) as meter:
        meter.begin(0, 4 * MEGABYTE)
        for _ in range(3):
            meter.advance(MEGABYTE)
    assert "weights" in drawn(console)
    assert "3.0/4.0 MB" in drawn(console)
    assert "B/s" in drawn(console)


def test_what_was_here_already_counts_as_done() -> None:
    console = terminal()
    with shown("weights", None, console) as meter:
        meter.begin(3 * MEGABYTE, 4 * MEGABYTE)
        meter.advance(MEGABYTE // 2)
    assert "3.5/4.0 MB" in drawn(console)


def test_many_files_share_one_bar_that_counts_them() -> None:
    console = terminal()
    with shown("images", 20, console) as meter:
        for _ in range(7):
            meter.begin(0, 500)
            meter.advance(500)
            meter.finish_file()
    assert "7/20" in drawn(console)
    assert "3.5 kB" in drawn(console)


def test_without_a_terminal_there_are_two_log_lines_for_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tasks")
    content = numbered(MEGABYTE)
    (tmp_path / "from").write_bytes(content)
    source = source_of(content, str(tmp_path / "from"))
    items = [Item(source=source, target=tmp_path / "to" / str(number)) for number in range(5)]
    fetch_many(items, options=QUICK, title="images")
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "downloading 5 images",
        "downloaded 5 images",
    ]
    assert "5.0 MB in" in caplog.records[1].message
    caplog.clear()
    fetch_many(items, options=QUICK, title="images")
    assert caplog.records == []


def test_a_bar_on_request_does_not_disturb_the_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = numbered(MEGABYTE)
    (tmp_path / "from").write_bytes(content)
    options = QUICK.model_copy(update={"progress": True})
    fetch(source_of(content, str(tmp_path / "from")), tmp_path / "a", options=options)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (33_200_000, "33.2 MB"), (5e9, "5.0 GB")]
)
def test_bytes_are_told_in_powers_of_a_thousand(count: float, text: str) -> None:
    assert human(count) == text
