from __future__ import annotations

from typing import Tuple

import pytest

from artifacts import media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    BadDigest,
    LayoutError,
    RegistryMisbehaved,
    RegistryRefused,
    UnknownTag,
)
from artifacts.oci import read_index
from artifacts.remote.client import RemoteRegistry
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.conftest import QUICK
from tests.artifacts.remote.liar import REPOSITORY, Answer, Handler, Liar, instead
from tests.artifacts.remote.lies import (
    cut,
    flipped,
    in_chunks,
    silent,
)


def test_a_release_is_found_by_tag_and_by_digest(remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]) -> None:
    assert remote.resolve("1.0.0") == remote.resolve(there[0]) == there
    accepted = liar.asked[0].headers["accept"]
    assert media.INDEX in accepted
    assert media.MANIFEST in accepted


def test_manifests_and_small_blobs_are_read(remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]) -> None:
    children = read_index(remote.resolve("latest")[1])
    for child in children:
        assert digest_bytes(remote.read(child.blob, 1 << 20)) == child.blob.digest
    liar.put(b"small")
    assert remote.read(blob_of(b"small"), 5) == b"small"
    assert liar.count("GET", "/manifests/") == 1 + len(children)


def test_a_manifest_is_read_by_its_descriptor_alone(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    child = read_index(there[1])[0].blob
    assert digest_bytes(remote.read(child, 1 << 20)) == child.digest
    with pytest.raises(RegistryRefused, match="incomplete"):
        remote.read(blob_of(b"never pushed"), 1 << 20)


def test_a_small_blob_larger_than_the_limit_is_not_asked_for(remote: RemoteRegistry, liar: Liar) -> None:
    liar.put(b"small")
    with pytest.raises(LayoutError, match="more than the 4"):
        remote.read(blob_of(b"small"), 4)
    assert liar.asked == []


def test_another_manifest_under_a_digest_is_refused(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    digest = "sha256:" + "0" * 64
    liar.manifests[digest] = (there[1], media.INDEX)
    with pytest.raises(RegistryMisbehaved, match=rf"{digest} as it sends it hashes to {there[0]}"):
        remote.resolve(digest)


def test_a_header_with_the_right_digest_does_not_make_wrong_bytes_right(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    liar.always = instead(200, {"Docker-Content-Digest": there[0], "Content-Type": media.INDEX}, there[1] + b" ")
    for name in ("1.0.0", there[0]):
        with pytest.raises(RegistryMisbehaved, match="hashes to"):
            remote.resolve(name)


def test_a_manifest_spoiled_on_the_way_is_asked_for_again(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    liar.lies = [flipped(40), cut(100), silent(30)]
    liar_limits = QUICK.model_copy(update={"attempts": 4})
    remote.transport.job.limits = liar_limits
    assert remote.resolve("1.0.0") == there


def test_a_child_with_other_bytes_is_refused(remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]) -> None:
    first, second = read_index(remote.resolve("1.0.0")[1])[:2]
    liar.manifests[first.blob.digest] = liar.manifests[second.blob.digest]
    with pytest.raises(RegistryMisbehaved):
        remote.read(first.blob, 1 << 20)


def test_a_small_blob_with_other_bytes_is_refused(remote: RemoteRegistry, liar: Liar) -> None:
    for other in (b"smell", b"smal", b"smalls"):
        liar.blobs[blob_of(b"small").digest] = other
        with pytest.raises(RegistryMisbehaved):
            remote.read(blob_of(b"small"), 100)


def test_an_endless_manifest_is_cut_off(remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]) -> None:
    liar.always = in_chunks(lambda body: body + b" " * (5 << 20))
    with pytest.raises(RegistryMisbehaved, match="more than the 4194304 bytes"):
        remote.resolve("1.0.0")


def test_a_manifest_of_absurd_length_is_refused_before_its_first_byte(remote: RemoteRegistry, liar: Liar) -> None:
    def boast(handler: Handler, answer: Answer) -> None:
        handler.head(200, {"Content-Type": media.INDEX, "Content-Length": str(1 << 40)})
        handler.server.over.wait(30)

    liar.always = boast
    with pytest.raises(RegistryMisbehaved, match=f"would send {1 << 40} bytes"):
        remote.resolve("1.0.0")


def test_an_unknown_tag_names_those_that_are_there(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    with pytest.raises(UnknownTag, match=r"Tags there: 1\.0\.0, latest") as caught:
        remote.resolve("9.9.9")
    assert caught.value.layout == f"{liar.place}/{REPOSITORY}"


def test_what_looks_like_a_digest_and_is_none_is_never_sent(remote: RemoteRegistry, liar: Liar) -> None:
    with pytest.raises(BadDigest):
        remote.resolve("sha256:../../secret")
    assert liar.asked == []


def test_tags_are_listed_page_by_page_without_those_of_chips(remote: RemoteRegistry, liar: Liar) -> None:
    liar.page = 4
    for number in range(10):
        for tag in (f"1.{number}", f"1.{number}-bm1688"):
            liar.manifests[tag] = (b"{}", media.INDEX)
    assert remote.tags() == tuple(f"1.{number}" for number in range(10))
    assert liar.count("GET", "/tags/list") == 5


def test_a_repository_that_is_not_there_has_no_tags(remote: RemoteRegistry) -> None:
    assert remote.tags() == ()


def test_a_poll_costs_no_body_and_sees_a_moved_tag(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes]
) -> None:
    assert not remote.has_moved("latest", there[0])
    liar.knows_conditions = False
    assert not remote.has_moved("latest", there[0])
    assert {one.method for one in liar.asked} == {"HEAD"}
    liar.manifests["latest"] = (b"{}", media.INDEX)
    assert remote.has_moved("latest", there[0])
    with pytest.raises(UnknownTag):
        remote.has_moved("gone", there[0])


def test_a_login_page_in_place_of_a_manifest_is_called_one(remote: RemoteRegistry, liar: Liar) -> None:
    liar.always = instead(200, {"Content-Type": "text/html"}, b"<html>")
    with pytest.raises(RegistryMisbehaved, match="login page"):
        remote.resolve("1.0.0")
    liar.always = instead(200, {"Content-Type": "application/json"}, b"<html>")
    with pytest.raises(LayoutError, match="no JSON"):
        remote.resolve("1.0.0")
