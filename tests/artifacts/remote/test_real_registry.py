"""Against Debian's docker-registry, with skopeo as an independent reader and writer."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Dict, List

import pytest
from pydantic import SecretStr

from artifacts import layout
from artifacts.errors import RegistryMisbehaved, RegistryRefused, RegistryUnreachable, TagExists, UnknownTag
from artifacts.export import ReleaseFiles, materialise
from artifacts.oci import MAX_MANIFEST_BYTES, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry, open_registry
from artifacts.remote.access import Access, Credentials
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import packed, push
from artifacts.store import ContentStore
from tests.artifacts.processes import killed_after
from tests.artifacts.releases import release
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.conftest import QUICK
from tests.artifacts.remote.debian import PASSWORD, USER, docker_registry

REPOSITORY = "models/centernet"
needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("plain")) as place:
        yield place


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("secured"), authority.issue("registry")) as place:
        yield place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for version in ("1.0.0", "1.1.0"):
        record, files = release(tmp_path / "built", version)
        layout.publish(tmp_path / "layout", record, files, [version, "latest"])
    return tmp_path / "layout"


def named(place: str, repository: str, name: str) -> Reference:
    return Reference(kind="remote", place=place, repository=repository, name=name)


def skopeo(*arguments: str) -> str:
    command = ["skopeo", "--insecure-policy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> Dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pulled(registry: Registry, name: str, folder: Path) -> Path:
    store = ContentStore(folder / "store")
    children = read_index(registry.resolve(name)[1])
    manifests = [read_manifest(registry.read(child.blob, MAX_MANIFEST_BYTES), child.chip) for child in children]
    files = ReleaseFiles.of(manifests)
    for blob in files.blobs.values():
        registry.fetch(blob, store)
    return materialise(files, store, folder / "release", replace=False)


def test_a_release_goes_there_and_comes_back_byte_for_byte(plain: str, root: Path, tmp_path: Path) -> None:
    target = named(plain, "one", "1.0.0")
    done = push(root, "1.0.0", target, channels=["latest"], access=Access())
    assert (done.changed, done.sent) == (True, len(packed(root, "1.0.0").blobs))
    with open_registry(target, access=Access()) as registry:
        assert registry.resolve("1.0.0") == registry.resolve("latest") == layout.resolve(root, "1.0.0")
        assert registry.tags() == ("1.0.0", "latest")
        folder = pulled(registry, "latest", tmp_path / "device")
    assert contents(folder) == contents(layout.export(root, "1.0.0", tmp_path / "expected"))
    assert not push(root, "1.0.0", target, channels=["latest"], access=Access()).changed


def test_a_channel_moves_and_a_version_does_not(plain: str, root: Path) -> None:
    push(root, "1.0.0", named(plain, "two", "stable"), access=Access())
    with open_registry(named(plain, "two", "stable"), access=Access()) as registry:
        first = registry.resolve("stable")[0]
        assert not registry.has_moved("stable", first)
        push(root, "1.1.0", named(plain, "two", "stable"), access=Access())
        assert registry.has_moved("stable", first)
        assert registry.resolve("1.0.0")[0] == first
        with pytest.raises(TagExists):
            push(root, "1.1.0", named(plain, "two", "1.0.0"), access=Access())
        with pytest.raises(UnknownTag, match=r"1\.0\.0, 1\.1\.0, stable"):
            registry.resolve("2.0.0")


def test_a_blob_damaged_or_cut_on_the_servers_disk_is_not_taken(tmp_path: Path, root: Path) -> None:
    with docker_registry(tmp_path / "server") as place:
        push(root, "1.0.0", named(place, "m", "1.0.0"), access=Access())
        blob = packed(root, "1.0.0").blobs[0]
        data = tmp_path / "server" / "data" / "docker/registry/v2/blobs/sha256" / blob.digest[7:9] / blob.digest[7:]
        good = (data / "data").read_bytes()
        store = ContentStore(tmp_path / "store")
        with RemoteRegistry(place, "m", access=Access(), limits=QUICK) as registry:
            for bad in (good[:-1] + b"~", good[: len(good) // 2], good + b"more"):
                (data / "data").write_bytes(bad)
                with pytest.raises(RegistryMisbehaved):
                    registry.fetch(blob, store)
                assert not store.is_sound(blob)
            (data / "data").write_bytes(good)
            assert registry.fetch(blob, store).read_bytes() == good


def test_a_partial_download_goes_on(plain: str, root: Path, tmp_path: Path) -> None:
    push(root, "1.0.0", named(plain, "three", "1.0.0"), access=Access())
    blob = max(packed(root, "1.0.0").blobs, key=lambda one: one.size)
    good = ContentStore(root).path(blob).read_bytes()
    store = ContentStore(tmp_path / "store")
    store.incoming.mkdir(parents=True)
    (store.incoming / f"{blob.digest[7:]}.part").write_bytes(good[:100])
    seen: List[int] = []
    with open_registry(named(plain, "three", "x"), access=Access()) as registry:
        assert registry.fetch(blob, store, seen.append).read_bytes() == good
    assert seen[0] > 100


def test_with_tls_and_a_password(secured: str, authority: Authority, root: Path, tmp_path: Path) -> None:
    given = Credentials(user=USER, password=SecretStr(PASSWORD))
    access = Access(given=given, ca_file=authority.certificate)
    target = named(secured, REPOSITORY, "1.0.0")
    assert push(root, "1.0.0", target, access=access).changed
    with open_registry(target, access=access) as registry:
        folder = pulled(registry, "1.0.0", tmp_path / "device")
    assert contents(folder) == contents(layout.export(root, "1.0.0", tmp_path / "expected"))
    for wrong in (None, given.model_copy(update={"password": SecretStr("not-this")})):
        with open_registry(target, access=access.model_copy(update={"given": wrong})) as registry:
            with pytest.raises(RegistryRefused, match="docker login") as caught:
                registry.resolve("1.0.0")
            assert "not-this" not in str(caught.value)


def test_plain_http_to_a_tls_server_is_told(secured: str) -> None:
    with open_registry(named(secured, REPOSITORY, "1.0.0"), access=Access()) as registry:
        with pytest.raises(RegistryUnreachable, match=r"it speaks https only.*CENTERNET_REGISTRY_PLAIN_HTTP=0"):
            registry.resolve("1.0.0")


@needs_skopeo
def test_skopeo_reads_what_we_pushed_with_the_same_digest(plain: str, root: Path, tmp_path: Path) -> None:
    push(root, "1.0.0", named(plain, "four", "1.0.0"), access=Access())
    source = f"docker://{plain}/four:1.0.0"
    copy = f"oci:{tmp_path}/copy:1.0.0"
    skopeo("copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false", source, copy)
    assert layout.resolve(tmp_path / "copy", "1.0.0") == layout.resolve(root, "1.0.0")
    assert layout.check(tmp_path / "copy") == []


@needs_skopeo
def test_we_read_what_skopeo_pushed_with_the_same_digest(plain: str, root: Path, tmp_path: Path) -> None:
    target = f"docker://{plain}/five:1.0.0"
    skopeo("copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{root}:1.0.0", target)
    with open_registry(named(plain, "five", "1.0.0"), access=Access()) as registry:
        assert registry.resolve("1.0.0") == layout.resolve(root, "1.0.0")
        folder = pulled(registry, "1.0.0", tmp_path / "device")
    assert contents(folder) == contents(layout.export(root, "1.0.0", tmp_path / "expected"))
    # What skopeo left out are the tags of the single chips.
    done = push(root, "1.0.0", named(plain, "five", "1.0.0"), access=Access())
    assert (done.changed, done.sent) == (True, 0)


@needs_skopeo
def test_skopeo_agrees_over_tls_with_a_password(secured: str, authority: Authority, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    shutil.copy(authority.certificate, folder / "ca.crt")
    access = Access(given=Credentials(user=USER, password=SecretStr(PASSWORD)), ca_file=authority.certificate)
    push(root, "1.1.0", named(secured, "six", "1.1.0"), access=access)
    options = ["--src-cert-dir", str(folder), "--src-creds", f"{USER}:{PASSWORD}"]
    skopeo("copy", "-q", "--all", *options, f"docker://{secured}/six:1.1.0", f"oci:{tmp_path}/copy:1.1.0")
    assert layout.resolve(tmp_path / "copy", "1.1.0") == layout.resolve(root, "1.1.0")


def test_a_version_is_visible_only_when_all_of_it_is_there(plain: str, root: Path, tmp_path: Path) -> None:
    target, chance, killed, seen = named(plain, "killed", "1.0.0"), random.Random(3), 0, 0
    for attempt in range(12):
        killed += killed_after(chance.uniform(0.0, 0.5), lambda: push(root, "1.0.0", target, access=Access()))
        with open_registry(target, access=Access()) as registry:
            if "1.0.0" in registry.tags():
                pulled(registry, "1.0.0", tmp_path / str(attempt))
                seen += 1
    push(root, "1.0.0", target, access=Access())
    with open_registry(target, access=Access()) as registry:
        assert registry.resolve("1.0.0") == layout.resolve(root, "1.0.0")
    print(f"{killed} pushes killed, the version seen after {seen}")
    assert killed > 0


def test_a_restarted_server_goes_on_serving(tmp_path: Path, root: Path) -> None:
    with docker_registry(tmp_path / "server") as place:
        push(root, "1.0.0", named(place, "m", "1.0.0"), access=Access())
    with docker_registry(tmp_path / "server") as place:
        with open_registry(named(place, "m", "1.0.0"), access=Access()) as registry:
            assert registry.resolve("1.0.0") == layout.resolve(root, "1.0.0")
