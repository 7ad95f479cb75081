"""Steps on machines that have stores of their own and one exchange, under a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

from settings.operations import ExchangeSettings
from tasks import journal
from tasks.errors import ExchangeUnreachable, ToolchainDiffers
from tasks.exchange import machine
from tasks.exchange.folder import MARK
from tasks.exchange.machine import Machine, working_on
from tasks.journal import Entry, Outcome
from tasks.seal import unsealed
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace
from tests.tasks import steps_for_tests as steps
from tests.tasks.steps_for_tests import COMPILER, Made, Part, calls


class Folders:
    """Two machines and what lies between them."""

    def __init__(self, root: Path) -> None:
        self.exchange = root / "exchange"
        self.one, self.two = (self._of(root / name) for name in ("one", "two"))

    def _of(self, root: Path) -> Workspace:
        sharing = ExchangeSettings(folder=self.exchange)
        return Workspace(store=str(root), cache=str(root / "cache"), sharing=sharing)

    def records(self) -> list[Path]:
        return sorted((self.exchange / "records").glob("*.json"))


@pytest.fixture
def folders(prefect_server: None, tmp_path: Path) -> Folders:
    found = Folders(tmp_path)
    assert found.one.exchange is not None
    found.one.exchange._waits = ()  # type: ignore[attr-defined]
    found.one.exchange.prepare()
    return found


@contextmanager
def on(workspace: Workspace) -> Iterator[None]:
    with temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: workspace.records}):
        yield


def make(workspace: Workspace, text: str = "text") -> Made:
    with on(workspace):
        made: Made = steps.make("it", text, Part(), COMPILER, workspace)
    return made


def use(made: Made, workspace: Workspace) -> Made:
    with on(workspace):
        used: Made = steps.use(made, workspace)
    return used


def last(workspace: Workspace) -> Entry:
    return journal.read(workspace, "none")[-1]


def test_what_one_machine_made_another_does_not_make_again(folders: Folders) -> None:
    made = make(folders.one)
    assert make(folders.two) == made and calls(folders.two) == []
    assert last(folders.two).outcome is Outcome.HIT
    assert (folders.two.content.root / "blobs/sha256").is_dir()  # a hit is believed once its bytes are here and hashed
    for record in folders.records():
        record.unlink()
    assert make(folders.two) == made and calls(folders.two) == []  # and from then on it is this machine's own


def test_what_a_step_needs_comes_from_the_machine_that_made_it(folders: Folders) -> None:
    made = make(folders.one)
    assert use(made, folders.two).blob.size == 4 and calls(folders.two) == ["use"]
    assert use(made, folders.one) and calls(folders.one) == ["text"]


def test_bytes_are_handed_over_before_the_record_that_names_them(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(folders.one.exchange), "put_record", cut)
    with pytest.raises(KeyboardInterrupt):
        make(folders.one)
    assert folders.records() == [] and len(list(folders.exchange.glob("blobs/sha256/*"))) == 1
    monkeypatch.undo()
    make(folders.one)
    assert calls(folders.one) == ["text", "text"]  # what was not handed over is not recorded here either


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_record_whose_bytes_nobody_has_is_a_miss(harm: str, folders: Folders, caplog: Any) -> None:
    made = make(folders.one)
    (path,) = folders.exchange.glob("blobs/sha256/*")
    path.unlink() if harm == "lost" else spoil(path)
    assert make(folders.two).blob == made.blob and calls(folders.two) == ["text"]
    assert last(folders.two).damaged == (made.blob.digest,)
    assert (f"{made.blob.digest} as it lies in the exchange" in caplog.text) == (harm == "damaged")
    make(folders.two)
    assert calls(folders.two) == ["text"] and last(folders.two).outcome is Outcome.HIT


@pytest.mark.parametrize("text", ["", '{"blob": ', '{"blob": {"digest": "sha256:short", "size": 1}}', "[]"])
def test_a_record_that_cannot_be_believed_is_made_again_and_replaced(text: str, folders: Folders) -> None:
    make(folders.one)
    (record,) = folders.records()
    sound = record.read_bytes()
    record.write_text(text)
    make(folders.two)
    assert calls(folders.two) == ["text"] and record.read_text() != text
    blobs = [Made.model_validate_json(unsealed(data)).blob for data in (record.read_bytes(), sound)]
    assert blobs[0] == blobs[1]


def test_a_number_that_decayed_in_the_exchange_is_not_believed_and_an_older_programs_record_is(
    folders: Folders,
) -> None:
    make(folders.one)
    (record,) = folders.records()
    sound = record.read_bytes()
    record.write_bytes(sound.replace(b'"exit_status":0', b'"exit_status":2'))
    make(folders.two)
    assert calls(folders.two) == ["text"]
    record.write_bytes(unsealed(sound))
    make(folders.one.model_copy(update={"store": f"{folders.one.store}-new"}))
    assert calls(folders.one.model_copy(update={"store": f"{folders.one.store}-new"})) == []


def test_who_came_first_is_believed(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folders.one)
    (record,) = folders.records()
    first = record.read_bytes()
    monkeypatch.setattr("tasks.generations.recorded", lambda *_: None)  # as if both had looked before either was done
    make(folders.two)
    assert calls(folders.two) == ["text"] and record.read_bytes() == first


def test_a_stored_result_that_is_older_than_the_exchange_is_handed_over(folders: Folders) -> None:
    alone = folders.one.model_copy(update={"sharing": ExchangeSettings()})
    made = make(alone)
    assert folders.records() == []
    make(folders.one)
    assert calls(folders.one) == ["text"] and len(folders.records()) == 1
    assert folders.two.content.verified(made.blob).read_bytes() == b"text"


def test_a_damaged_file_of_a_machine_is_mended_from_the_exchange(folders: Folders) -> None:
    made = make(folders.one)
    spoil(folders.one.content.path(made.blob))
    make(folders.one)
    assert calls(folders.one) == ["text"] and folders.one.content.is_sound(made.blob)


def test_an_exchange_that_is_away_fails_the_step_and_nothing_is_made_twice(folders: Folders) -> None:
    (folders.exchange / MARK).unlink()
    with pytest.raises(ExchangeUnreachable, match=f"The exchange {folders.exchange}"):
        make(folders.one)
    assert calls(folders.one) == []


def test_a_step_that_was_sent_works_in_the_folders_of_the_machine_that_got_it(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, told = COMPILER.model_copy(update={"root": "/two", "python": "/two/bin/python"}), list[Entry]()
    asked: list[Path] = []

    def provision(version: str, *, root: Path) -> Toolchain:
        asked.append(root)
        return own

    monkeypatch.setattr("tasks.provide.provision", provision)
    with on(folders.two), working_on(_machine(folders), told.append):
        made = steps.make("it", "text", Part(), COMPILER, folders.one)
    assert calls(folders.two) == ["text"] and not Path(folders.one.store).exists()
    assert [entry.outcome for entry in told] == [Outcome.WANTED, Outcome.MADE]
    assert asked == [Path(folders.two.cache)]
    assert make(folders.one) == made and calls(folders.one) == []
    with working_on(_machine(folders), told.append):
        assert machine.own(COMPILER) == own and machine.own("text") == "text"
        assert machine.own(folders.one) == folders.two
    assert machine.own(COMPILER) is COMPILER


def test_another_compiler_under_the_same_version_is_refused(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    other = COMPILER.model_copy(update={"fingerprint": "sha256:bb"})
    monkeypatch.setattr("tasks.provide.provision", lambda version, *, root: other)
    with (
        on(folders.two),
        working_on(_machine(folders), lambda _: None),
        pytest.raises(ToolchainDiffers, match=r"/one has the fingerprint sha256:bb; .* one that has sha256:aa"),
    ):
        steps.make("it", "text", Part(), COMPILER, folders.one)
    assert calls(folders.two) == []


def test_a_machine_may_see_the_exchange_in_another_place(folders: Folders) -> None:
    mounted = _machine(folders).model_copy(update={"exchange_folder": "/mnt/exchange"})
    assert mounted.workspace(folders.one).sharing.folder == Path("/mnt/exchange")
    alone = folders.one.model_copy(update={"sharing": ExchangeSettings(repository="registry.example.com/work")})
    assert mounted.workspace(alone).sharing == alone.sharing


def _machine(folders: Folders) -> Machine:
    return Machine(name="two", store=folders.two.store, cache=folders.two.cache)


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
