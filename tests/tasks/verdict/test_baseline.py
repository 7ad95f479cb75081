"""The last good release is what `latest` names, here or on the server, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.errors import ArtifactError, RegistryRefused
from artifacts.measurements import MEASUREMENTS_TITLE, Measurements
from artifacts.reference import parse_reference
from artifacts.remote.push import push
from settings.sections import ReleaseSettings
from tasks.verdict.baseline import last_good
from tests.artifacts.layouts import blob_path, publish
from tests.artifacts.releases import release
from tests.artifacts.remote.liar import Liar, instead
from tests.tasks.compared import rung


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Liar]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Liar() as liar:
        yield liar


def places(folder: Path, pushed: str | None = None) -> ReleaseSettings:
    return ReleaseSettings(repository=folder / "registry", folder=folder / "release", push=pushed)


def test_where_nothing_was_published_there_is_none(tmp_path: Path) -> None:
    assert last_good(places(tmp_path)) is None
    publish(tmp_path / "registry", "1.0.0", "1.0.0")  # by its version alone, as one that was held
    assert last_good(places(tmp_path)) is None


def test_the_channel_decides_and_not_what_was_published_last(tmp_path: Path) -> None:
    first = publish(tmp_path / "registry", "1.0.0", "1.0.0", "latest")
    publish(tmp_path / "registry", "1.1.0", "1.1.0")
    good = last_good(places(tmp_path))
    assert good is not None and (good.digest, good.version, good.compiler) == (first.digest, "1.0.0", "1.30.2")
    assert good.side.measurements is None and good.place == f"oci:{tmp_path}/registry:latest"


def test_a_folder_with_a_colon_in_its_name_is_read(tmp_path: Path) -> None:
    publish(tmp_path / "one:two", "1.0.0", "latest")
    assert last_good(ReleaseSettings(repository=tmp_path / "one:two")) is not None


def test_all_measurements_come_with_it_where_the_release_has_them(tmp_path: Path) -> None:
    record, files = release(tmp_path, "1.0.0")
    measured = Measurements(rungs=(rung(),))
    (tmp_path / "measured").write_bytes(measured.to_json())
    layout.publish(tmp_path / "registry", record, {**files, MEASUREMENTS_TITLE: tmp_path / "measured"}, ["latest"])
    good = last_good(places(tmp_path))
    assert good is not None and good.side.measurements == measured


def test_where_this_machine_has_no_release_the_server_is_asked(server: Liar, tmp_path: Path) -> None:
    home = f"{server.place}/models/centernet"
    assert last_good(places(tmp_path, home)) is None
    done = publish(tmp_path / "other", "1.0.0", "1.0.0")
    push(tmp_path / "other", done.digest, parse_reference(f"{home}:1.0.0"), channels=("latest",))
    publish(tmp_path / "registry", "1.1.0", "1.1.0")  # here, by its version alone
    good = last_good(places(tmp_path, home))
    assert good is not None and good.digest == done.digest and good.place == f"{home}:latest"
    ours = publish(tmp_path / "registry", "1.1.0", "latest")
    assert getattr(last_good(places(tmp_path, home)), "digest", None) == ours.digest


def test_a_server_that_refuses_is_no_empty_one(server: Liar, tmp_path: Path) -> None:
    server.always = instead(403, {}, b"not yours")
    with pytest.raises(RegistryRefused):
        last_good(places(tmp_path, f"{server.place}/models/centernet"))


def test_a_damaged_release_is_none_to_compare_with(tmp_path: Path) -> None:
    done = publish(tmp_path / "registry", "1.0.0", "latest")
    blob_path(tmp_path / "registry", done.digest).write_bytes(b"{}")
    with pytest.raises(ArtifactError):
        last_good(places(tmp_path))
