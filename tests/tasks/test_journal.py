"""The journal of a run, and what --explain makes of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from artifacts.errors import NoSpace
from tasks import journal
from tasks.journal import Entry, Outcome
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path), cache=str(tmp_path))


def entry(slot: str, outcome: Outcome = Outcome.MADE, **fields: object) -> Entry:
    return Entry.model_validate({"slot": slot, "step": slot, "outcome": outcome, **fields})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (entry("a", Outcome.HIT), "hit     a  nothing changed"),
        (entry("a", first=True), "made    a  never made before"),
        (entry("a"), "made    a  no finished result is stored"),
        (entry("a", changed=("x", "y.z")), "made    a  changed: x, y.z"),
        (entry("a", changed=("x", "y", "z", "u"), more_changed=5), "made    a  changed: x, y, z and 6 more"),
        (
            entry("a", damaged=("sha256:1", "sha256:2", "sha256:3"), first=True),
            "made    a  3 stored file(s) missing or damaged: sha256:1, sha256:2",
        ),
        (entry("a", Outcome.FAILED, changed=("x",)), "failed  a  changed: x"),
        (entry("a", Outcome.WANTED, first=True), "waited  a  never made before; another build made it"),
    ],
)
def test_each_case_is_told_in_a_few_words(line: Entry, text: str) -> None:
    assert journal.explain((line,)) == text


def test_the_slots_stand_in_a_column() -> None:
    assert journal.explain((entry("short", Outcome.HIT), entry("much longer", Outcome.HIT))) == (
        "hit     short        nothing changed\nhit     much longer  nothing changed"
    )
    assert journal.explain(()) == ""


def test_the_last_line_of_a_slot_counts_in_the_order_of_the_first(workspace: Workspace) -> None:
    for line in (entry("a", Outcome.WANTED), entry("b", Outcome.HIT), entry("a", Outcome.MADE)):
        journal.append(workspace, "run", line)
    assert [(one.slot, one.outcome) for one in journal.read(workspace, "run")] == [
        ("a", Outcome.MADE),
        ("b", Outcome.HIT),
    ]
    assert journal.read(workspace, "another run") == ()


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_by_a_kill_is_left_out(cut: int, workspace: Workspace) -> None:
    journal.append(workspace, "run", entry("a"))
    journal.append(workspace, "run", entry("naïve"))
    path = workspace.journals / "run.jsonl"
    whole = path.read_bytes()
    ends = whole.index("ï".encode()) + 1 if cut == 1 else len(whole) - cut
    path.write_bytes(whole[:ends])
    assert [one.slot for one in journal.read(workspace, "run")] == ["a"]


def test_lines_of_several_threads_do_not_mix(workspace: Workspace) -> None:
    long = tuple(f"fact {number} of a long list" for number in range(20))

    def write(thread: int) -> None:
        for number in range(40):
            journal.append(workspace, "run", entry(f"{thread}/{number}", changed=long))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.read(workspace, "run")) == 240


def test_a_line_of_which_only_the_beginning_fits_on_the_disk_is_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(workspace, "run", entry("a"))
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:10]))
    with pytest.raises(NoSpace):
        journal.append(workspace, "run", entry("b"))
    assert [one.slot for one in journal.read(workspace, "run")] == ["a"]
