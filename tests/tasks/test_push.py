"""From a published release to a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.states import Failed

from artifacts import layout
from artifacts.attachments import LayoutPlace, read_envelope
from artifacts.errors import RegistryRefused, RegistryUnreachable, TagExists
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.statements import read_channel
from tasks.publish import PublishedRelease
from tasks.push import _may_pass, push
from tasks.signing import sign_release, subject_at
from tasks.signing_key import load_signer, make_key
from tests.artifacts.releases import release
from tests.artifacts.remote.liar import Liar


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Liar]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Liar() as liar:
        yield liar


def published(folder: Path, version: str = "1.0.0") -> PublishedRelease:
    record, files = release(folder, version)
    done = layout.publish(folder / "registry", record, files, [version, "latest"])
    return PublishedRelease(
        digest=done.digest, version=version, changed=done.changed, folder="", repository=str(folder / "registry")
    )


def test_a_release_is_pushed_under_its_version_and_the_channel_moves(server: Liar, tmp_path: Path) -> None:
    home = f"{server.place}/models/centernet"
    first, second = published(tmp_path), published(tmp_path, "1.1.0")
    assert push.fn(first, home).pushed == f"{home}:1.0.0"
    push.fn(second, home)
    with RemoteRegistry(server.place, "models/centernet", access=Access()) as registry:
        assert registry.tags() == ("1.0.0", "1.1.0", "latest")
        assert registry.resolve("1.0.0")[0] == first.digest
        assert registry.resolve("latest")[0] == second.digest


def test_without_a_channel_only_the_version_is_pushed(server: Liar, tmp_path: Path) -> None:
    home = f"{server.place}/models/centernet"
    push.fn(published(tmp_path), home, channel=None)
    with RemoteRegistry(server.place, "models/centernet", access=Access()) as registry:
        assert registry.tags() == ("1.0.0",)


def test_a_second_push_changes_nothing_and_a_first_one_is_news(server: Liar, tmp_path: Path) -> None:
    again = published(tmp_path).model_copy(update={"changed": False})
    assert push.fn(again, f"{server.place}/m").changed
    assert not push.fn(again, f"{server.place}/m").changed


def test_a_version_of_another_release_is_left_alone(server: Liar, tmp_path: Path) -> None:
    push.fn(published(tmp_path / "one"), f"{server.place}/m")
    other = published(tmp_path / "two", "1.1.0")
    with pytest.raises(TagExists):
        push.fn(other.model_copy(update={"version": "1.0.0"}), f"{server.place}/m")


@pytest.mark.parametrize(
    ("error", "again"), [(RegistryUnreachable("host", "silent"), True), (RegistryRefused("host", "no", "Ask"), False)]
)
def test_only_a_server_that_may_come_back_is_asked_again(error: Exception, again: bool) -> None:
    state: Any = Failed(data=error)
    assert _may_pass(None, None, state) is again


def test_with_a_key_the_server_and_the_layout_hold_one_record(server: Liar, tmp_path: Path) -> None:
    pytest.importorskip("securesystemslib", reason="signatures need the package securesystemslib")
    key, path = make_key(tmp_path / "publisher", {}), tmp_path / "publisher"
    home, first = f"{server.place}/models/centernet", published(tmp_path)
    local = LayoutPlace(first.repository)
    sign_release(local, subject_at(local.registry, first.digest), [load_signer(path, {})])
    again = first.model_copy(update={"changed": False})
    push.fn(first, home)
    assert push.fn(again, home, path).changed and not push.fn(again, home, path).changed
    second = published(tmp_path, "1.1.0")
    sign_release(local, subject_at(local.registry, second.digest), [load_signer(path, {})])
    push.fn(second, home, path)
    with RemoteRegistry(server.place, "models/centernet", access=Access()) as registry:
        there = read_envelope(registry, "channel-latest")
        assert there is not None and there == read_envelope(local.registry, "channel-latest")
        assert (read_channel(there, [key]).serial, read_channel(there, [key]).digest) == (2, second.digest)
        assert registry.tags() == ("1.0.0", "1.1.0", "latest")
