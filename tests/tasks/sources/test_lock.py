from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tasks.errors import BadLockFile, DownloadError, MirrorFailure
from tasks.sources.lock import LockFile, Recorded
from tests.tasks.sources.support import sha256

MANY = 200


def found(text: str) -> Recorded:
    return Recorded(mirror="http://h/" + text, digest=sha256(text.encode()), size=len(text))


def test_the_file_is_sorted_json_that_a_person_can_review(tmp_path: Path) -> None:
    book = LockFile(tmp_path / "sources.lock.json")
    book.record("b", found("2"))
    book.record("a", found("1"))
    text = (tmp_path / "sources.lock.json").read_text()
    content = json.loads(text)
    assert content == {"version": 1, "sources": {"a": found("1").model_dump(), "b": found("2").model_dump()}}
    assert list(content["sources"]) == ["a", "b"]
    assert text.count("\n") > 10


def test_many_threads_of_two_users_lose_no_record(tmp_path: Path) -> None:
    books = [LockFile(tmp_path / "l.json"), LockFile(tmp_path / "l.json")]

    def work(start: int) -> None:
        for number in range(start, MANY, 8):
            books[number % 2].record(str(number), found(str(number)))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = LockFile(tmp_path / "l.json")
    assert all(fresh.get(str(number)) == found(str(number)) for number in range(MANY))


def test_who_records_other_bytes_later_is_told(tmp_path: Path) -> None:
    early, late = LockFile(tmp_path / "l.json"), LockFile(tmp_path / "l.json")
    early.record("a", found("1"))
    with pytest.raises(MirrorFailure, match=found("1").digest):
        late.record("a", found("2"))
    assert LockFile(tmp_path / "l.json").get("a") == found("1")
    late.record("a", found("1"))


def test_what_others_recorded_is_seen_after_a_refresh(tmp_path: Path) -> None:
    early, late = LockFile(tmp_path / "l.json"), LockFile(tmp_path / "l.json")
    early.record("a", found("1"))
    assert late.get("a") is None
    late.refresh()
    assert late.get("a") == found("1")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"sources": {"a": {"mirror": "m", "digest": "sha256:1", "size": 1}}}', "\xff"],
)
def test_a_file_that_is_no_lock_file_stops_everything(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadLockFile, match=r"l\.json"):
        LockFile(tmp_path / "l.json")


def test_a_lock_file_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError):
        LockFile(tmp_path / "file" / "l.json").record("a", found("1"))
