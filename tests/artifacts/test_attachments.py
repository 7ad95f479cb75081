"""Envelopes in a layout and on a server, and the tags that they have."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import layout, media
from artifacts.attachments import LayoutPlace, Place, ServerPlace, read_envelope
from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import BadReference, LayoutError, NotSigned, RegistryError, StoreError
from artifacts.layout_tags import channel_tag, is_trust_tag, signature_tag
from artifacts.reference import parse_reference
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.push import packed, push
from tests.artifacts.damage import damage
from tests.artifacts.releases import release
from tests.artifacts.remote.debian import docker_registry
from tests.artifacts.remote.liar import REPOSITORY, Liar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record, files = release(tmp_path / "built")
    layout.publish(tmp_path / "centernet", record, files, ["1.0.0", "latest"])
    return tmp_path / "centernet"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture(params=["layout", "liar", "debian"])
def place(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Place]:
    if request.param == "layout":
        yield LayoutPlace(root)
    elif request.param == "liar":
        server: Liar = request.getfixturevalue("liar")
        push(root, "1.0.0", parse_reference(f"{server.place}/{REPOSITORY}:1.0.0"), access=Access())
        with RemoteRegistry(server.place, REPOSITORY, access=Access(), actions="pull,push") as remote:
            yield ServerPlace(remote)
    else:
        with docker_registry(tmp_path / "server") as host:
            push(root, "1.0.0", parse_reference(f"{host}/models/centernet:1.0.0"), access=Access())
            with RemoteRegistry(host, "models/centernet", access=Access(), actions="pull,push") as remote:
                yield ServerPlace(remote)


def test_an_envelope_is_read_back_and_the_next_one_takes_its_place(place: Place) -> None:
    tag = channel_tag("stable")
    assert read_envelope(place.registry, tag) is None
    for envelope in (b'{"serial":1}', b'{"serial":2}', b'{"serial":2}'):
        place.write(tag, envelope)
        assert read_envelope(place.registry, tag) == envelope


def test_signatures_are_not_listed_among_the_releases(place: Place) -> None:
    before = place.registry.tags()
    place.write(channel_tag("stable"), b"{}")
    place.write(signature_tag(digest_bytes(b"release")), b"{}")
    assert place.registry.tags() == before


def test_the_plain_tag_of_a_channel_follows(place: Place, root: Path) -> None:
    parcel = packed(root, "1.0.0")
    place.move("stable", parcel.index, parcel.children)
    assert place.registry.resolve("stable")[0] == parcel.digest
    assert "stable" in place.registry.tags()


def test_a_layout_with_signatures_is_sound_and_a_damaged_one_is_found(root: Path) -> None:
    LayoutPlace(root).write(channel_tag("stable"), b'{"serial":1}')
    assert layout.check(root) == []
    blob = root / "blobs" / "sha256" / digest_bytes(b'{"serial":1}')[len("sha256:") :]
    damage(blob, b'{"serial":9}')
    assert len(layout.check(root)) == 1
    with pytest.raises(StoreError):
        read_envelope(LayoutPlace(root).registry, channel_tag("stable"))


def test_the_artifact_has_the_shape_that_every_registry_takes(root: Path) -> None:
    LayoutPlace(root).write(channel_tag("stable"), b"envelope")
    value = json.loads(layout.resolve(root, "channel-stable")[1])
    assert set(value) == {"schemaVersion", "mediaType", "artifactType", "config", "layers"}
    assert value["config"] == {"mediaType": media.EMPTY_CONFIG, "digest": digest_bytes(b"{}"), "size": 2}
    assert [layer["mediaType"] for layer in value["layers"]] == [media.DSSE]


@pytest.mark.parametrize(
    "value",
    [
        {"mediaType": media.MANIFEST, "layers": [{"digest": digest_bytes(b""), "size": 0}]},
        {"mediaType": media.MANIFEST, "artifactType": media.SIGNATURE, "layers": []},
        {"mediaType": media.MANIFEST, "artifactType": media.SIGNATURE, "layers": [{"digest": "sha256:../../x"}]},
        {"mediaType": media.MANIFEST, "artifactType": media.SIGNATURE, "layers": [7]},
    ],
)
def test_something_else_under_the_tag_is_no_signature(liar: Liar, value: object) -> None:
    liar.manifests["channel-stable"] = (canonical_json(value), media.MANIFEST)
    with RemoteRegistry(liar.place, REPOSITORY, access=Access()) as remote, pytest.raises(NotSigned):
        read_envelope(remote, "channel-stable")


def test_an_envelope_without_end_is_not_read(liar: Liar) -> None:
    big = b"x" * (1 << 17)
    layer = {"mediaType": media.DSSE, "digest": liar.put(big), "size": len(big)}
    value = {"mediaType": media.MANIFEST, "artifactType": media.SIGNATURE, "layers": [layer]}
    liar.manifests["channel-stable"] = (canonical_json(value), media.MANIFEST)
    with RemoteRegistry(liar.place, REPOSITORY, access=Access()) as remote, pytest.raises(RegistryError):
        read_envelope(remote, "channel-stable")
    assert liar.count("GET", "blobs") == 0


@pytest.mark.parametrize("tag", ["channel-stable", "channel-latest", "Channel-Latest", f"sha256-{'a' * 64}"])
def test_no_release_is_published_under_a_signatures_tag(root: Path, tag: str, tmp_path: Path) -> None:
    record, files = release(tmp_path / "built")
    with pytest.raises(LayoutError, match="kept for signatures"):
        layout.publish(root, record, files, [tag])
    with pytest.raises(BadReference, match="kept for signatures"):
        push(root, "1.0.0", parse_reference(f"127.0.0.1:1/m:{tag}"), access=Access())


def test_tags_of_versions_are_not_taken_for_a_signatures() -> None:
    assert is_trust_tag(signature_tag(digest_bytes(b""))) and is_trust_tag(f"sha256-{'0' * 64}.sig")
    assert not any(
        map(is_trust_tag, ["1.0.0", "latest", "channel", "channel-beta", "sha256-12", "1.30.2-0123456789ab"])
    )


def test_skopeo_carries_signatures_to_a_server_and_back_unchanged(root: Path, tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    copy = [skopeo, "--insecure-policy", "copy", "-q", "--all", "--preserve-digests"]
    tags = signature_tag(layout.resolve(root, "1.0.0")[0]), channel_tag("stable")
    with docker_registry(tmp_path / "server") as host:
        for tag in tags:
            LayoutPlace(root).write(tag, tag.encode())
            there = f"docker://{host}/copy:{tag}"
            subprocess.run([*copy, "--dest-tls-verify=false", f"oci:{root}:{tag}", there], check=True)
            subprocess.run([*copy, "--src-tls-verify=false", there, f"oci:{tmp_path}/back:{tag}"], check=True)
            assert layout.resolve(tmp_path / "back", tag) == layout.resolve(root, tag)
            assert read_envelope(LayoutPlace(tmp_path / "back").registry, tag) == tag.encode()
