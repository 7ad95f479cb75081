"""Removing what a plan names: in order, and only what is still as it was."""

from __future__ import annotations

import os

import pytest

from artifacts.files import claim
from tasks.housekeeping import remove
from tasks.housekeeping.model import Item, Kind
from tasks.housekeeping.remove import remove_items
from tests.tasks.housekeeping.places import Places


def test_what_names_bytes_goes_before_the_bytes(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.record("compile", places.blob("made"))
    places.write(places.workspace.logs / "old.log", "x")
    order: list[Kind] = []

    def gone(item: Item) -> bool:
        order.append(item.kind)
        return True

    monkeypatch.setattr(remove, "_gone", gone)
    remove_items(tuple(reversed(places.plan().items)), places.workspace)
    assert order == [Kind.RECORD, Kind.BLOB, Kind.EXPLANATION, Kind.LOG]


def test_everything_in_a_plan_is_removed_and_counted(places: Places) -> None:
    places.record("compile", places.blob("made"))
    places.environment("tpu-mlir-1.0-half", "")
    dead = places.workspace.content.root / "scratch" / "dead-1-x"
    dead.mkdir(parents=True)
    plan = places.plan()
    removed = remove_items(plan.items, places.workspace)
    assert {item.path for item in removed.items} == {item.path for item in plan.items} and removed.left == ()
    assert removed.size == plan.size > 0 and places.going() == set() and not dead.exists()


def test_what_was_written_since_the_plan_stays(places: Places) -> None:
    log = places.write(places.workspace.logs / "old.log", "x")
    plan = places.plan()
    log.write_text("again")
    assert remove_items(plan.items, places.workspace).items == () and log.exists()


def test_what_somebody_holds_stays(places: Places) -> None:
    part = places.write(places.folder / "cache" / "downloads" / "a.part", "half")
    plan = places.plan()
    held = claim(part)
    assert held is not None and remove_items(plan.items, places.workspace).items == () and part.exists()
    os.close(held)
    assert remove_items(plan.items, places.workspace).items and not part.exists()


def test_what_is_gone_already_is_no_failure(places: Places) -> None:
    log = places.write(places.workspace.logs / "old.log", "x")
    plan = places.plan()
    log.unlink()
    assert remove_items(plan.items, places.workspace) == ((), ())


def test_a_link_goes_and_what_it_leads_to_stays(places: Places) -> None:
    precious = places.write(places.folder / "precious" / "file", "x")
    places.workspace.logs.mkdir(parents=True)
    link = places.workspace.logs / "link"
    link.symlink_to(precious.parent)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert remove_items(places.plan().items, places.workspace).items and not link.is_symlink() and precious.exists()


def test_a_compiler_that_is_half_removed_is_no_longer_ready(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        places.environment(f"tpu-mlir-{number}.0-x", f"{number}.0")
    monkeypatch.setattr(remove, "remove_tree", lambda folder: None)
    removed = remove_items(places.plan().items, places.workspace)
    ((folder, reason),) = removed.left
    assert folder.name == "tpu-mlir-1.0-x" and "not all of it could be removed" in reason
    assert folder.is_dir() and not (folder / "ready.json").exists()
