"""Cache records that decay: what is no longer what was written is made again, however good it looks."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tasks.seal import Unsealed, seal, unsealed
from tasks.workspace import Workspace
from tests.tasks import steps_for_tests as steps
from tests.tasks.steps_for_tests import COMPILER, Made, Part, calls

FLIPS = 60


@pytest.fixture
def workspace(prefect_records: Path) -> Workspace:
    return Workspace(store=str(prefect_records.parent), cache=str(prefect_records.parent))


def make(workspace: Workspace, text: str = "text") -> Made:
    made: Made = steps.make("it", text, Part(), COMPILER, workspace)
    return made


def record_of(workspace: Workspace) -> Path:
    (record,) = (path for path in workspace.records.glob("make-*") if path.is_file())
    return record


@pytest.mark.parametrize("data", [b"", b" ", b"0" * 64, b"0" * 64 + b" text", seal(b"text")[:-1], seal(b"text") + b" "])
def test_what_was_not_written_so_is_no_record(data: bytes) -> None:
    assert unsealed(seal(b"text")) == b"text"
    with pytest.raises(Unsealed):
        unsealed(data)


def test_no_flipped_bit_of_a_record_is_believed(workspace: Workspace) -> None:
    first = make(workspace)
    record, chance = record_of(workspace), random.Random(1)
    sound = record.read_bytes()
    again = 0
    for number in range(FLIPS):
        data = bytearray(sound)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        record.write_bytes(data)
        found = make(workspace)
        # What Prefect notes beside the result may decay without harm.
        assert found == first or len(calls(workspace)) == again + 2, f"flip {number} was believed"
        again = len(calls(workspace)) - 1
        for path in workspace.records.glob("make-*"):
            path.unlink()
    assert again > FLIPS / 2


def test_a_number_that_decayed_is_not_believed(workspace: Workspace) -> None:
    make(workspace)
    record = record_of(workspace)
    text = json.loads(record.read_bytes())
    assert '"exit_status": 0' in text["result"]
    text["result"] = text["result"].replace('"exit_status": 0', '"exit_status": 2')
    record.write_text(json.dumps(text))
    assert make(workspace).evidence.exit_status == 0 and calls(workspace) == ["text", "text"]


def test_the_record_of_another_step_is_not_believed(workspace: Workspace) -> None:
    make(workspace, "one")
    one = record_of(workspace)
    data = one.read_bytes()
    one.unlink()
    two = make(workspace, "two")
    record_of(workspace).write_bytes(data)
    assert make(workspace, "two").blob == two.blob and calls(workspace) == ["one", "two", "two"]


@pytest.mark.parametrize("lock", [False, True])
def test_a_folder_in_a_records_or_its_locks_place_is_set_aside(lock: bool, workspace: Workspace) -> None:
    made = make(workspace)
    path = record_of(workspace)
    path = path.parent / ".locks" / path.name if lock else path
    path.unlink()
    path.mkdir()
    (path / "inside").touch()
    assert make(workspace).blob == made.blob
    assert [one.name[:5] for one in (Path(workspace.store) / "quarantine").iterdir()] == ["make-"]
    before = calls(workspace)
    make(workspace)
    assert calls(workspace) == before


def test_nothing_is_written_through_a_link_in_a_records_place(workspace: Workspace, tmp_path: Path) -> None:
    made = make(workspace)
    path = record_of(workspace)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    path.unlink()
    path.symlink_to(elsewhere)
    assert make(workspace).blob == made.blob and elsewhere.read_bytes() == b"somebody's"
    assert not record_of(workspace).is_symlink()


def test_a_record_of_an_older_program_is_believed(workspace: Workspace) -> None:
    make(workspace)
    record = record_of(workspace)
    text = json.loads(record.read_bytes())
    text["metadata"]["serializer"]["type"] = "json"
    text["result"] = unsealed(text["result"].encode()).decode()
    record.write_text(json.dumps(text))
    make(workspace)
    assert calls(workspace) == ["text"]
