from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Dict, Tuple

import pytest

from artifacts import layout, media
from artifacts.digest import digest_bytes
from artifacts.errors import (
    BadDigest,
    CertificateProblem,
    LayoutError,
    RegistryMisbehaved,
    RegistryRefused,
    RegistryUnreachable,
    UnknownTag,
)
from artifacts.oci import read_index
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock
from artifacts.remote.transport import Transport
from artifacts.store import ContentStore
from tests.artifacts.releases import blob_of, release
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.liar import REPOSITORY, Answer, Handler, Liar, cut, flipped, in_chunks, instead, silent


@pytest.fixture
def there(liar: Liar, tmp_path: Path) -> Tuple[str, bytes]:
    """Put a release on the server; return its digest and index."""
    record, files = release(tmp_path / "built")
    root = tmp_path / "layout"
    layout.publish(root, record, files, ["1.0.0", "latest"])
    digest, index = layout.resolve(root, "1.0.0")
    for path in (root / "blobs" / "sha256").iterdir():
        liar.put(path.read_bytes())
    for tag in ("1.0.0", "latest", digest):
        liar.manifests[tag] = (index, media.INDEX)
    for child in read_index(index):
        data = liar.blobs.pop(child.blob.digest)
        liar.manifests[child.blob.digest] = liar.manifests[f"1.0.0-{child.chip.lower()}"] = (data, media.MANIFEST)
    liar.blobs.pop(digest)
    return digest, index


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


def test_a_redirect_is_followed_to_another_host_without_our_authorization(
    remote: RemoteRegistry, liar: Liar, tmp_path: Path
) -> None:
    liar.user = ("alice", "wonder")
    remote.close()
    access = Access.from_environment(
        {"CENTERNET_REGISTRY_USER": "alice", "CENTERNET_REGISTRY_PASSWORD": "wonder", "HOME": str(tmp_path)}
    )
    data = b"far away" * 10_000
    with Liar() as elsewhere, RemoteRegistry(liar.place, REPOSITORY, access=access, limits=QUICK) as registry:
        elsewhere.lies = [cut(50_000)]
        elsewhere.put(data)
        where = f"http://{elsewhere.place}/elsewhere/{blob_of(data).digest}?X-Signature=secret"
        liar.always = instead(307, {"Location": where})
        assert registry.fetch(blob_of(data), ContentStore(tmp_path / "store")).read_bytes() == data
        assert all("authorization" not in one.headers for one in elsewhere.asked)
        assert elsewhere.asked[-1].headers["range"] == f"bytes=50000-{len(data) - 1}"
        assert liar.asked[-1].headers["authorization"].startswith("Basic ")
        elsewhere.always = cut(0)
        elsewhere.put(b"other")
        liar.always = instead(307, {"Location": where.replace(blob_of(data).digest, blob_of(b"other").digest)})
        with pytest.raises(RegistryUnreachable) as caught:
            registry.fetch(blob_of(b"other"), ContentStore(tmp_path / "store"))
        assert "secret" not in str(caught.value)


def test_a_redirect_out_of_encryption_is_refused(authority: Authority) -> None:
    with Liar(tls=authority.issue("redirecting")) as server:
        access = Access(ca_file=authority.certificate)
        server.always = instead(307, {"Location": "http://127.0.0.1:1/x"})
        with RemoteRegistry(server.place, REPOSITORY, access=access, limits=QUICK) as registry:
            with pytest.raises(RegistryMisbehaved, match="https addresses"):
                registry.resolve("1.0.0")


def test_redirects_in_a_circle_end(remote: RemoteRegistry, liar: Liar) -> None:
    liar.always = instead(302, {"Location": "/v2/models/centernet/manifests/1.0.0"})
    with pytest.raises(RegistryMisbehaved, match="round and round"):
        remote.resolve("1.0.0")
    assert len(liar.asked) == 6


def test_a_redirect_to_nowhere_is_the_registrys_fault(remote: RemoteRegistry, liar: Liar) -> None:
    for where in ("file:///etc/passwd", "https://", "http://[::1", "http://127.0.0.1:port/"):
        liar.lies = [instead(302, {"Location": where})]
        with pytest.raises(RegistryMisbehaved):
            remote.resolve("1.0.0")


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert remote.resolve("1.0.0") == there


def test_a_netrc_file_is_not_read(
    remote: RemoteRegistry, liar: Liar, there: Tuple[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password hers\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    remote.transport._session.trust_env = True
    remote.resolve("1.0.0")
    assert "authorization" not in liar.asked[0].headers


def test_nobody_there_is_told_after_some_tries(waits: Waits) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with RemoteRegistry(place, "m", access=Access(), limits=QUICK, clock=waits.clock()) as registry:
            with pytest.raises(RegistryUnreachable, match="connection refused"):
                registry.resolve("1.0.0")
    assert len(waits) == QUICK.attempts - 1


def test_a_plain_server_spoken_to_in_https_is_told_apart() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{listener.getsockname()[1]}"

    def answer_plainly() -> None:
        connection, _ = listener.accept()
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        connection.close()

    thread = threading.Thread(target=answer_plainly)
    thread.start()
    with RemoteRegistry(place, "m", access=Access(plain_http=False), limits=QUICK) as registry:
        with pytest.raises(RegistryUnreachable, match="CENTERNET_REGISTRY_PLAIN_HTTP=1"):
            registry.resolve("1.0.0")
    thread.join()
    listener.close()


CERTIFICATES: Dict[str, Tuple[Dict[str, str], str]] = {
    "expired": ({"start": "20200101000000Z", "end": "20200201000000Z"}, "has expired.*clock"),
    "early": ({"start": "21000101000000Z", "end": "21010101000000Z"}, "not valid yet.*clock"),
}


@pytest.mark.parametrize("name", list(CERTIFICATES))
def test_a_certificate_out_of_its_time_says_which_and_what_to_do(authority: Authority, name: str, waits: Waits) -> None:
    dates, expected = CERTIFICATES[name]
    access = Access(ca_file=authority.certificate)
    with Liar(tls=authority.issue(name, **dates)) as server:
        with RemoteRegistry(server.place, "m", access=access, limits=QUICK, clock=waits.clock()) as registry:
            with pytest.raises(CertificateProblem, match=expected):
                registry.resolve("1.0.0")
    assert waits == []


def test_an_authority_of_ones_own_has_to_be_named(authority: Authority, liar: Liar) -> None:
    with Liar(tls=authority.issue("good")) as server:
        server.manifests["1.0.0"] = (b'{"mediaType":"other"}', media.MANIFEST)
        with RemoteRegistry(server.place, "m", access=Access(plain_http=False), limits=QUICK) as registry:
            with pytest.raises(CertificateProblem, match=r"not known here.*CENTERNET_REGISTRY_CA"):
                registry.resolve("1.0.0")
        with RemoteRegistry(server.place, "m", access=Access(ca_file=authority.certificate)) as registry:
            assert registry.resolve("1.0.0")[1] == b'{"mediaType":"other"}'


def test_dockers_own_registry_is_asked_under_the_name_that_answers() -> None:
    transport = Transport("docker.io", "me/centernet", "pull", Access(), QUICK, Clock())
    assert transport._top == "https://registry-1.docker.io/v2/me/centernet/"


def test_a_refusal_quotes_the_servers_reason_without_its_control_characters(remote: RemoteRegistry, liar: Liar) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"quota\\u001b[31m reached"}]}'
    liar.always = instead(403, {}, body)
    with pytest.raises(RegistryRefused, match=r"DENIED: quota\[31m reached.*docker login"):
        remote.resolve("1.0.0")
    assert len(liar.asked) == 1
