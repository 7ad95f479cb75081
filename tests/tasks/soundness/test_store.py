"""What is found in a store, kind by kind; whole builds that decay are in tests/flows/test_verify_store.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from artifacts.digest import digest_bytes, hex_of
from artifacts.store import Blob
from tasks.seal import KIND, seal
from tasks.soundness.model import Meter, Remedy, Trouble
from tasks.soundness.records import read_record
from tasks.soundness.store import check_store
from tasks.workspace import Workspace
from tests.artifacts.damage import damage

KEY = f"make-{'a' * 64}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


def write_record(workspace: Workspace, blob: Blob, key: str = KEY, log: Blob | None = None) -> Path:
    """Write a record as Prefect does."""
    data: dict[str, Any] = {"blob": blob.model_dump(), "evidence": {"log": log.model_dump()} if log else None}
    text = seal(json.dumps({"__class__": "x.Made", "data": data}).encode()).decode()
    path = workspace.records / key
    record = {"metadata": {"storage_key": str(path), "serializer": {"type": KIND}}, "result": text}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def troubles(workspace: Workspace) -> list[Trouble]:
    return [trouble for part in check_store(workspace, Meter()) for trouble in part.troubles]


def test_a_record_names_what_it_needs_and_the_logs_that_it_does_not(workspace: Workspace) -> None:
    needed, log = Blob.of(b"model"), Blob.of(b"log")
    found = read_record(write_record(workspace, needed, log=log))
    assert (found.needed, found.logs) == ({needed}, {log})


def test_a_lost_file_is_told_by_the_record_that_needs_it(workspace: Workspace) -> None:
    blob = workspace.content.put_bytes(b"model")
    write_record(workspace, blob)
    assert troubles(workspace) == []
    workspace.content.path(blob).unlink()
    (one,) = troubles(workspace)
    assert one.path.name == hex_of(blob.digest) and KEY in one.why and one.remedy is Remedy.ITSELF


def test_what_an_earlier_generation_of_a_record_lost_is_not_told(workspace: Workspace) -> None:
    write_record(workspace, Blob.of(b"lost for good"))
    write_record(workspace, workspace.content.put_bytes(b"model"), f"{KEY}-1")
    assert troubles(workspace) == []


def test_a_damaged_file_is_needed_or_a_log_or_nobodys(workspace: Workspace) -> None:
    content = workspace.content
    needed, log, nobodys = (content.put_bytes(data) for data in (b"model", b"log", b"nobody's"))
    write_record(workspace, needed, log=log)
    for blob in (needed, log, nobodys):
        damage(content.path(blob))
    found = {f"sha256:{one.path.name}": one.remedy for one in troubles(workspace)}
    assert found == {needed.digest: Remedy.ITSELF, log.digest: Remedy.NOBODY, nobodys.digest: Remedy.NOBODY}


def test_a_record_that_is_just_being_written_is_looked_at_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_record(workspace, workspace.content.put_bytes(b"model"))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    monkeypatch.setattr("tasks.soundness.records.time.sleep", lambda _: path.write_bytes(whole))
    assert troubles(workspace) == []


def test_layer_groups_and_reports_of_validations_are_looked_at(workspace: Workspace) -> None:
    group = workspace.layer_groups / "abc" / f"1.{hex_of(digest_bytes(b'found'))}"
    report = Path(workspace.store) / "validations" / "board-1.json"
    for path, data in ((group, b"found"), (report, b"{}")):
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    assert troubles(workspace) == []
    group.write_bytes(b"fount")
    report.write_bytes(b"{")
    assert {one.path: one.remedy for one in troubles(workspace)} == {group: Remedy.ITSELF, report: Remedy.YOU}


def test_what_was_set_aside_earlier_is_a_note_and_no_trouble(workspace: Workspace) -> None:
    workspace.content.put_bytes(b"model")
    aside = Path(workspace.store) / "quarantine"
    aside.mkdir()
    (aside / "something").touch()
    parts = check_store(workspace, Meter())
    assert not [trouble for part in parts for trouble in part.troubles]
    assert any("set aside" in note for part in parts for note in part.notes)
