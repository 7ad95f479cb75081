"""The device store: its state, its links, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.digest import canonical_json
from inference.deploy.state import DeviceState, PulledRelease
from inference.deploy.store import DeviceStore
from inference.errors import DeployError
from tests.inference.deploy.support import publish, pulled

FOLDERS = [f"{digit * 64}-BM1688_int8_1b" for digit in "abc"]


def release(folder: str, *references: str) -> PulledRelease:
    return PulledRelease(
        folder=folder,
        digest=f"sha256:{folder[:64]}",
        references=references,
        name="centernet",
        version=folder[0],
        models=(),
        files={},
    )


def test_the_state_survives_being_written_and_read() -> None:
    state = DeviceState().with_release(release(FOLDERS[0], "oci:/x:1")).activated(FOLDERS[0])
    assert DeviceState.from_json(state.to_json(), "here") == state


def test_a_release_is_current_then_previous_then_neither() -> None:
    state = DeviceState()
    for folder in FOLDERS:
        state = state.with_release(release(folder)).activated(folder)
    assert (state.current, state.previous) == (FOLDERS[2], FOLDERS[1])
    assert state.activated(FOLDERS[2]) == state
    assert [one.folder for one in state.reduced().releases] == FOLDERS[1:]
    assert state.swapped().swapped() == state


def test_a_release_that_is_pulled_again_is_the_latest_and_keeps_its_other_names() -> None:
    state = DeviceState().with_release(release(FOLDERS[0], "oci:/x:1")).with_release(release(FOLDERS[1], "oci:/x:2"))
    state = state.with_release(release(FOLDERS[0], "oci:/x:latest"))
    assert [one.folder for one in state.releases] == [FOLDERS[1], FOLDERS[0]]
    assert state.releases[1].references == ("oci:/x:1", "oci:/x:latest")


def test_unknown_fields_of_a_newer_minor_version_are_ignored() -> None:
    data = canonical_json({**DeviceState().model_dump(mode="json"), "schema_version": "1.7", "colour": "green"})
    assert DeviceState.from_json(data, "here").releases == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b'{"schema_version": "1.0", "current": "../../etc"}', "current: String should match"),
        (canonical_json({"schema_version": "1.0", "releases": [{"folder": "../x"}]}), "cannot be read"),
        (b"{}", "its schema_version is 'None'"),
        (b'{"schema_version": "2.0"}', "has schema 2.0; this program understands 1.0"),
        # What the fields of a newer generation mean is not for this one to say.
        (b'{"schema_version": "2.0", "releases": {}}', "update this one"),
    ],
)
def test_a_state_that_is_not_ours_is_refused_and_kept(data: bytes, words: str, tmp_path: Path) -> None:
    store = DeviceStore(tmp_path / "device")
    done = pulled(publish(tmp_path), store)
    (store.root / "state.json").write_bytes(data)
    with pytest.raises(DeployError, match=words):
        store.state()
    with pytest.raises(DeployError, match=words):
        pulled(publish(tmp_path, "1.1.0"), store)
    assert (store.root / "state.json").read_bytes() == data
    assert store.linked("current") == done.folder.name


def test_a_switch_that_was_interrupted_is_finished_by_the_next_command(tmp_path: Path) -> None:
    store = DeviceStore(tmp_path / "device")
    first, second = (pulled(publish(tmp_path, version), store).folder.name for version in ("1.0.0", "1.1.0"))
    for link, name in (("current", first), ("previous", second)):
        (store.root / link).unlink()
        (store.root / link).symlink_to(f"releases/{name}")
    store.tidy()
    assert (store.linked("current"), store.linked("previous")) == (second, first)


def test_a_folder_in_the_place_of_a_link_is_not_replaced(tmp_path: Path) -> None:
    store = DeviceStore(tmp_path / "device")
    (store.root / "current").mkdir(parents=True)
    with pytest.raises(DeployError, match="is no link of ours"):
        pulled(publish(tmp_path), store)
    assert (store.root / "current").is_dir()


def test_a_link_that_leads_nowhere_leads_to_no_release(tmp_path: Path) -> None:
    store = DeviceStore(tmp_path / "device")
    store.root.mkdir()
    (store.root / "current").symlink_to("releases/gone")
    assert store.linked("current") is None and store.linked("previous") is None
