from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

import pytest

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    BadReference,
    DamagedBlob,
    GateNotPassed,
    LayoutError,
    RegistryMisbehaved,
    RegistryRefused,
    TagExists,
    UnknownTag,
)
from artifacts.reference import Reference
from artifacts.release import GateOutcome, ReleaseRecord
from artifacts.remote.access import Access
from artifacts.remote.push import Pushed, failed_variants, packed, push
from tests.artifacts.damage import damage
from tests.artifacts.releases import VARIANTS, blob_of, model_bytes, release
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.liar import REPOSITORY, Answer, Handler, Liar, instead


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "layout"


def published(root: Path, version: str = "1.0.0") -> str:
    record, files = release(root.parent / "built", version)
    return layout.publish(root, record, files, [version, "latest"]).digest


def target(liar: Liar, name: str = "1.0.0") -> Reference:
    return Reference(kind="remote", place=liar.place, repository=REPOSITORY, name=name)


def pushed(root: Path, liar: Liar, name: str = "1.0.0", source: str = "1.0.0", channels: Sequence[str] = ()) -> Pushed:
    clock = Waits().clock()
    return push(root, source, target(liar, name), channels=channels, access=Access(), limits=QUICK, clock=clock)


def written(liar: Liar) -> List[str]:
    return [one.path.rpartition("/")[2] for one in liar.asked if one.method == "PUT" and "/manifests/" in one.path]


def test_a_release_arrives_byte_for_byte_children_before_the_index(root: Path, liar: Liar) -> None:
    digest = published(root)
    done = pushed(root, liar, channels=["latest"])
    assert (done.digest, done.version, done.channels, done.changed) == (digest, "1.0.0", ("latest",), True)
    assert written(liar) == ["1.0.0-bm1684", "1.0.0-bm1684x", "1.0.0-bm1688", "1.0.0", "latest"]
    assert liar.manifests["1.0.0"] == liar.manifests["latest"] == (layout.resolve(root, "1.0.0")[1], media.INDEX)
    parcel = packed(root, "1.0.0")
    assert {data for data, kind in liar.manifests.values() if kind == media.MANIFEST} == set(parcel.children.values())
    assert set(liar.blobs) == {blob.digest for blob in parcel.blobs}
    assert done.sent == len(parcel.blobs)
    assert done.sent_bytes == sum(blob.size for blob in parcel.blobs)


def test_a_second_push_sends_nothing(root: Path, liar: Liar) -> None:
    published(root)
    pushed(root, liar, channels=["latest"])
    liar.asked.clear()
    done = pushed(root, liar, channels=["latest"])
    assert (done.changed, done.sent) == (False, 0)
    assert {one.method for one in liar.asked} == {"GET", "HEAD"}


def test_only_what_is_missing_is_sent(root: Path, liar: Liar) -> None:
    published(root)
    pushed(root, liar)
    liar.blobs.pop(blob_of(model_bytes(VARIANTS[0], "1.0.0")).digest)
    liar.manifests.pop("1.0.0-bm1688")
    done = pushed(root, liar)
    assert (done.changed, done.sent) == (True, 1)
    assert written(liar)[-1] == "1.0.0-bm1688"
    assert pushed(root, liar, "1.0.0").changed is False


def test_a_version_that_names_another_release_is_left_alone(root: Path, liar: Liar) -> None:
    first, second = published(root), published(root, "2.0.0")
    pushed(root, liar)
    before = dict(liar.manifests), dict(liar.blobs)
    with pytest.raises(TagExists) as caught:
        pushed(root, liar, "1.0.0", "2.0.0")
    assert second not in (first, caught.value.existing)
    assert (liar.manifests, liar.blobs) == before


def test_a_chips_tag_that_names_another_manifest_is_left_alone(root: Path, liar: Liar) -> None:
    published(root)
    liar.manifests["1.0.0-bm1688"] = (b"{}", media.MANIFEST)
    with pytest.raises(TagExists, match=r"1\.0\.0-bm1688"):
        pushed(root, liar)
    assert written(liar) == []


def test_a_channel_moves_and_the_version_beside_it_is_written_too(root: Path, liar: Liar) -> None:
    published(root)
    second = published(root, "2.0.0")
    pushed(root, liar, "stable", "1.0.0")
    done = pushed(root, liar, "stable", "2.0.0")
    assert (done.version, done.channels) == ("2.0.0", ("stable",))
    assert digest_bytes(liar.manifests["stable"][0]) == digest_bytes(liar.manifests["2.0.0"][0]) == second
    back = pushed(root, liar, "stable", "1.0.0")
    assert (back.changed, back.sent) == (True, 0)
    assert liar.manifests["stable"] == liar.manifests["1.0.0"]


def ungated(record: ReleaseRecord, gate: object) -> ReleaseRecord:
    first, *others = record.variants
    return record.model_copy(update={"variants": (first.model_copy(update={"gate": gate}), *others)})


@pytest.mark.parametrize("gate", [None, GateOutcome(passed=False, reasons=("lost 0.1 AP",))], ids=["none", "failed"])
def test_a_release_that_did_not_pass_its_gate_becomes_no_channel(root: Path, liar: Liar, gate: object) -> None:
    record, files = release(root.parent / "built")
    record = ungated(record, gate)
    assert failed_variants(record) == ("BM1684/centernet_fp32_1b.bmodel",)
    layout.publish(root, record, files, ["1.0.0"])
    for name, channels in (("stable", []), ("1.0.0", ["latest"])):
        with pytest.raises(GateNotPassed, match="BM1684/centernet_fp32_1b"):
            pushed(root, liar, name, channels=channels)
    assert liar.asked == []
    assert pushed(root, liar).changed
    assert "latest" not in liar.manifests


@pytest.mark.parametrize("name", ["1.0.0-bm1688", "sha256:" + "0" * 64])
def test_a_name_that_would_mislead_is_refused(root: Path, liar: Liar, name: str) -> None:
    published(root)
    with pytest.raises(BadReference):
        pushed(root, liar, name)
    with pytest.raises(BadReference, match="no channel"):
        pushed(root, liar, channels=["nightly"])
    with pytest.raises(BadReference, match="pushed to a server"):
        push(root, "1.0.0", Reference(kind="oci", place="x", name="1"))
    assert liar.asked == []


def test_what_is_not_whole_in_the_layout_is_not_pushed(root: Path, liar: Liar) -> None:
    published(root)
    with pytest.raises(UnknownTag):
        pushed(root, liar, source="3.0.0")
    with pytest.raises(LayoutError, match="one chip's manifest"):
        pushed(root, liar, source="1.0.0-bm1688")
    path = root / "blobs" / "sha256" / blob_of(model_bytes(VARIANTS[0], "1.0.0")).digest[7:]
    damage(path, b"x")
    with pytest.raises(DamagedBlob, match="publish the release again"):
        pushed(root, liar)
    assert written(liar) == []


def lie_to_uploads(monkeypatch: pytest.MonkeyPatch, method: str, answers: List[Answer]) -> None:
    """Make the liar answer these to uploads, before it is honest again."""
    honest = getattr(Handler, method)

    def lie(handler: Handler) -> None:
        if answers and "/blobs/uploads/" in handler.path:
            handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            handler.send(answers.pop(0))
        else:
            honest(handler)

    monkeypatch.setattr(Handler, method, lie)


def test_an_upload_that_fails_half_way_is_begun_again(root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    published(root)
    lie_to_uploads(monkeypatch, "do_PUT", [Answer(502, {}, b""), Answer(404, {}, b"")])
    assert pushed(root, liar).changed
    assert set(liar.blobs) == {blob.digest for blob in packed(root, "1.0.0").blobs}


@pytest.mark.parametrize("times", [1, 99])
def test_what_was_acknowledged_and_is_not_there_is_sent_again_or_told(
    root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    published(root)
    lie_to_uploads(monkeypatch, "do_PUT", [Answer(201, {}, b"")] * times)
    if times > 1:
        with pytest.raises(RegistryMisbehaved, match=r"it took sha256:\w+ and has none of \d+ bytes right after"):
            pushed(root, liar)
        assert written(liar) == []
    else:
        assert pushed(root, liar).changed
        assert set(liar.blobs) == {blob.digest for blob in packed(root, "1.0.0").blobs}


def test_a_refused_upload_says_why(root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    published(root)
    body = b'{"errors":[{"code":"SIZE_INVALID","message":"too large"}]}'
    lie_to_uploads(monkeypatch, "do_PUT", [Answer(413, {}, body)])
    with pytest.raises(RegistryRefused, match=r"413 \(SIZE_INVALID: too large\)"):
        pushed(root, liar)
    lie_to_uploads(monkeypatch, "do_POST", [Answer(405, {}, b"")])
    with pytest.raises(RegistryRefused, match="begin an upload"):
        pushed(root, liar)
    assert written(liar) == []


@pytest.mark.parametrize("where", ["", "ftp://example.com/x", "http://[::1"])
def test_an_upload_is_not_sent_to_a_strange_place(
    root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    published(root)
    lie_to_uploads(monkeypatch, "do_POST", [Answer(202, {"Location": where} if where else {}, b"")])
    with pytest.raises(RegistryMisbehaved):
        pushed(root, liar)


def test_an_upload_elsewhere_carries_no_authorization(root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    published(root)
    liar.user = ("alice", "wonder")
    environ = {"CENTERNET_REGISTRY_USER": "alice", "CENTERNET_REGISTRY_PASSWORD": "wonder"}
    access = Access.from_environment(environ)
    with Liar() as elsewhere:
        elsewhere.uploads["abc"] = b""
        address = f"http://{elsewhere.place}/v2/m/blobs/uploads/abc?_state=a%2Bb"
        lie_to_uploads(monkeypatch, "do_POST", [Answer(202, {"Location": address}, b"")])
        push(root, "1.0.0", target(liar), access=access, limits=QUICK)
        assert elsewhere.count("PUT", "digest=sha256") == 1
        assert all("authorization" not in one.headers for one in elsewhere.asked)
    # What went there is not here, and was sent again.
    assert len(liar.blobs) == len(packed(root, "1.0.0").blobs)


def test_a_server_that_changes_what_it_stores_is_found_out(
    root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root)
    honest = Handler.do_PUT

    def rewriting(handler: Handler) -> None:
        honest(handler)
        for name, (data, kind) in list(handler.server.manifests.items()):
            handler.server.manifests[name] = (data.rstrip() + b"\n", kind)

    monkeypatch.setattr(Handler, "do_PUT", rewriting)
    with pytest.raises(RegistryMisbehaved, match="right after the push"):
        pushed(root, liar)


def test_a_refused_manifest_leaves_the_version_unset(root: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    published(root)
    honest = Handler.do_PUT

    def refusing(handler: Handler) -> None:
        if "/manifests/1.0.0-bm1688" in handler.path:
            handler.rfile.read(int(handler.headers["Content-Length"]))
            instead(400, {}, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')(handler, Answer(200, {}, b""))
        else:
            honest(handler)

    monkeypatch.setattr(Handler, "do_PUT", refusing)
    with pytest.raises(RegistryRefused, match="MANIFEST_BLOB_UNKNOWN"):
        pushed(root, liar)
    assert "1.0.0" not in liar.manifests


def test_progress_counts_all_blobs_sent_or_not(root: Path, liar: Liar) -> None:
    published(root)
    total = sum(blob.size for blob in packed(root, "1.0.0").blobs)
    for _ in range(2):
        seen: List[int] = []
        push(root, "1.0.0", target(liar), access=Access(), limits=QUICK, progress=seen.append)
        assert sum(seen) == total
