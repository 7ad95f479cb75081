"""Files of results: whole whenever they have their name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Callable

import pytest

from inference.errors import OutputError
from inference.output_files import JsonList, check_writable, write_whole


def test_a_list_of_any_length_is_valid_json_and_has_its_name_only_when_closed(tmp_path: Path) -> None:
    for count in (0, 1, 1000):
        path = tmp_path / f"{count}.json"
        file = JsonList(path)
        for number in range(count):
            file.add({"number": number, "name": "交通灯"})
        assert not path.exists()
        file.close()
        file.close()
        assert [entry["number"] for entry in json.loads(path.read_text(encoding="utf-8"))] == list(range(count))
    assert len(list(tmp_path.iterdir())) == 3


def test_entries_can_be_indented(tmp_path: Path) -> None:
    with JsonList(tmp_path / "list.json", indent=4) as file:
        file.add({"a": [1]})
    assert (tmp_path / "list.json").read_text() == '[\n{\n    "a": [\n        1\n    ]\n}\n]\n'


def test_an_error_leaves_what_was_added_before_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), JsonList(tmp_path / "list.json") as file:
        file.add(1)
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "list.json").read_text()) == [1]


def test_what_is_no_number_never_gets_into_a_file(tmp_path: Path) -> None:
    with JsonList(tmp_path / "list.json") as file:
        file.add(1)
        with pytest.raises(ValueError):
            file.add(float("nan"))
        file.add(2)
    assert json.loads((tmp_path / "list.json").read_text()) == [1, 2]


def test_a_list_that_cannot_be_finished_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("[0]")
    file = JsonList(path)
    file.add(1)
    file._stream.write = lambda text: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # type: ignore
    with pytest.raises(OutputError, match=r"list\.json cannot be written"):
        file.close()
    assert path.read_text() == "[0]" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        JsonList(tmp_path / "file" / "list.json")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.jpg", b"one")
    write_whole(tmp_path / "a.jpg", b"two")
    assert (tmp_path / "a.jpg").read_bytes() == b"two" and len(list(tmp_path.iterdir())) == 1
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(OutputError, match=r"folder\.jpg"):
        write_whole(tmp_path / "folder.jpg", b"three")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "folder.jpg"]


@pytest.mark.parametrize("write", [check_writable, lambda path: write_whole(path, b"x"), JsonList])
def test_a_pipe_under_the_name_of_a_result_is_refused_and_left(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(path)
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(OutputError, match="it is a device, a pipe or a socket"):
            write(name)
    assert path.is_fifo() and link.is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_a_result_under_a_link_is_written_where_it_leads_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for number, write in enumerate((lambda path: write_whole(path, b"[]\n"), lambda path: JsonList(path).close())):
        link, behind = tmp_path / f"link-{number}", tmp_path / "elsewhere" / f"{number}.json"
        link.symlink_to(behind)
        check_writable(link)
        write(link)
        assert link.is_symlink() and behind.read_bytes() == b"[]\n"


def test_a_folder_that_takes_no_file_is_told_without_the_name_of_a_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^/proc/notes.md cannot be written: [A-Za-z ]+$"):
        check_writable(Path("/proc/notes.md"))
