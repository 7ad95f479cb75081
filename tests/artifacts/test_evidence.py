"""Evidence about a release, attached without changing it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from artifacts import layout, media
from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import LayoutError, UnknownTag
from artifacts.evidence import Evidence, attach, attachment, evidence_of, summary, with_referrer
from artifacts.layout_tags import TagChange, referrers_tag, tag_entry
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.release import Accuracy, Protocol
from artifacts.remote import evidence as remote
from artifacts.remote.push import push
from artifacts.store import ContentStore
from tests.artifacts.releases import release
from tests.artifacts.remote.debian import docker_registry

PROTOCOL = Protocol(name="coco", dataset_digest=digest_bytes(b"val"), images=3, score_floor=0, top_k=100, metric="AP")
SAIL = {"libsophon": "0.5.1", "sail": "3.8.0", "python": "3.8"}


def evidence(digest: str, **changes: Any) -> Evidence:
    values = {
        "release": digest,
        "device": "board",
        "created": "2026-11-22T12:00:00+00:00",
        "engine": "sail",
        "chip": "BM1684X",
        "variant": "BM1684X/centernet_int8_1b.bmodel",
        "model_digest": digest_bytes(b"model"),
        "versions": SAIL,
        "protocol": PROTOCOL,
        "accuracy": Accuracy(ap=0.36, ap50=0.5),
        "comparable": True,
        "comparison": "AP +0.0000",
        "report": {"stages": {"infer": 1.5}},
    }
    return Evidence.model_validate({**values, **changes})


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, str]:
    record, files = release(tmp_path / "files")
    root = tmp_path / "layout"
    return root, layout.publish(root, record, files, ["1.0.0", "latest"]).digest


def read(root: Path, digest: str) -> tuple[Evidence, ...]:
    with open_registry(parse_reference(f"oci:{root}")) as registry:
        return evidence_of(registry, digest)


def test_what_is_attached_is_read_back_and_the_release_stays_as_it_was(published: tuple[Path, str]) -> None:
    root, digest = published
    before = {path: path.read_bytes() for path in (root / "blobs").rglob("*") if path.is_file()}
    tags = layout.tags(root)
    assert read(root, digest) == ()
    first, second = evidence(digest), evidence(digest, device="simulator", engine="simulator")
    attach(root, first)
    attach(root, second)
    assert read(root, digest) == (first, second)
    assert layout.tags(root) == tags and layout.check(root) == []
    assert all(path.read_bytes() == data for path, data in before.items())


def test_the_same_evidence_twice_is_there_once(published: tuple[Path, str]) -> None:
    root, digest = published
    assert attach(root, evidence(digest)) == attach(root, evidence(digest))
    assert read(root, digest) == (evidence(digest),)


def test_the_manifest_is_what_the_specification_asks_for(published: tuple[Path, str]) -> None:
    root, digest = published
    name = attach(root, evidence(digest))
    _, index = layout.resolve(root, "sha256-" + digest[7:])
    (entry,) = json.loads(index.decode())["manifests"]
    assert entry["digest"] == name and entry["artifactType"] == media.EVIDENCE_TYPE
    assert entry["annotations"][media.CREATED] == "2026-11-22T12:00:00+00:00"
    manifest = json.loads((root / "blobs" / "sha256" / name[7:]).read_text())
    _, subject = layout.resolve(root, digest)
    assert manifest["subject"] == {"mediaType": media.INDEX, "digest": digest, "size": len(subject)}
    # image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor"
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }


def test_several_that_attach_at_once_lose_nothing(published: tuple[Path, str]) -> None:
    root, digest = published
    names = [f"board-{number}" for number in range(8)]
    threads = [threading.Thread(target=attach, args=(root, evidence(digest, device=name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.device for one in read(root, digest)) == names


def test_what_other_tools_attached_is_kept_and_left_out(published: tuple[Path, str]) -> None:
    root, digest = published
    strange = {"mediaType": media.MANIFEST, "digest": digest_bytes(b"?"), "size": 1, "artifactType": "a/b"}
    made = attachment(evidence(digest), 10)
    index = json.loads(with_referrer(with_referrer(None, strange), made.descriptor).decode())
    assert index["manifests"] == [strange, made.descriptor]
    attach(root, evidence(digest))
    assert len(read(root, digest)) == 1


def test_evidence_about_a_release_that_is_not_there_is_refused(published: tuple[Path, str]) -> None:
    root, _ = published
    with pytest.raises(UnknownTag):
        attach(root, evidence(digest_bytes(b"other")))


def test_evidence_that_is_about_another_release_is_not_believed(published: tuple[Path, str]) -> None:
    root, digest = published
    name = attach(root, evidence(digest))
    other = layout.publish(root, *release(root.parent / "more", "2.0.0"), ["2.0.0"]).digest
    # Somebody hangs the evidence of one release onto another.
    entry = attachment(evidence(digest), len(layout.resolve(root, digest)[1])).descriptor
    assert entry["digest"] == name
    index = with_referrer(None, entry)
    ContentStore(root).put_bytes(index)
    tag = referrers_tag(other)
    layout.retag(root, [TagChange(tag, tag_entry(media.INDEX, index, tag), moves=True)])
    with pytest.raises(LayoutError, match=f"is about {digest}"):
        read(root, other)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        canonical_json({"mediaType": media.MANIFEST, "manifests": []}),
        canonical_json({"mediaType": media.INDEX, "manifests": [1]}),
    ],
)
def test_an_index_of_referrers_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(LayoutError):
        with_referrer(data, {"digest": "x"})


def test_the_summary_names_devices_and_says_when_there_was_only_a_simulator() -> None:
    digest = digest_bytes(b"release")
    simulated = evidence(digest, engine="simulator", versions={})
    assert summary([]) == "none"
    few = PROTOCOL.model_copy(update={"images": 1})
    assert summary([simulated, evidence(digest, engine="simulator", protocol=few)]) == "simulator only (3 images)"
    assert simulated.place == "simulator of BM1684X"
    device = "on device BM1684X, libsophon 0.5.1, sail 3.8.0"
    assert summary([simulated, evidence(digest, protocol=few), evidence(digest)]) == f"{device} (3 images)"
    other = evidence(digest, versions={}, chip="BM1688", protocol=few)
    assert summary([evidence(digest), other]) == f"{device} (3 images); on device BM1688 (1 images)"


def test_evidence_is_attached_on_a_server_too(published: tuple[Path, str], tmp_path: Path) -> None:
    root, digest = published
    with docker_registry(tmp_path / "server") as place:
        target = parse_reference(f"{place}/models/centernet:1.0.0")
        push(root, "1.0.0", target)
        first, second = evidence(digest), evidence(digest, device="other")
        remote.attach(target, first)
        remote.attach(target, second)
        with open_registry(target) as registry:
            assert evidence_of(registry, digest) == (first, second)
            assert registry.resolve("1.0.0")[0] == digest


def test_a_report_larger_than_a_manifest_is_read_back(published: tuple[Path, str]) -> None:
    root, digest = published
    large = evidence(digest, report={"said": "a" * (5 << 20)})
    attach(root, large)
    assert read(root, digest) == (large,)
