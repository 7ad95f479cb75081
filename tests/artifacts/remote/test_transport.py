from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Dict, Tuple

import pytest

from artifacts import media
from artifacts.errors import (
    CertificateProblem,
    RegistryMisbehaved,
    RegistryRefused,
    RegistryUnreachable,
)
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock
from artifacts.remote.transport import Transport
from artifacts.store import ContentStore
from tests.artifacts.releases import blob_of
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.conftest import QUICK, Waits
from tests.artifacts.remote.liar import REPOSITORY, Liar, instead
from tests.artifacts.remote.lies import (
    cut,
)


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
