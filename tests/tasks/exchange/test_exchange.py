"""The exchange, in a folder and on a real registry server: what is handed over, what is refused, what is waited for."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.errors import DamagedBlob
from artifacts.reference import parse_reference
from artifacts.remote.job import Limits
from artifacts.store import Blob, ContentStore
from settings.operations import ExchangeSettings
from tasks.errors import DamagedInExchange, ExchangeUnreachable, NotInExchange
from tasks.exchange.base import Exchange, SharedStore, exchange_of
from tasks.exchange.folder import MARK, FolderExchange
from tasks.exchange.registry import RegistryExchange
from tests.artifacts.remote.debian import docker_registry, program

BRIEF = Limits(attempts=2, backoff_s=0.05)


class Kind:
    """An exchange, and where its bytes lie."""

    def __init__(self, exchange: Exchange, blobs: Path) -> None:
        self.exchange = exchange
        self.blobs = blobs

    def file_of(self, blob: Blob) -> Path:
        name = blob.digest.partition(":")[2]
        (found,) = [path for path in self.blobs.rglob(f"*{name}*") if path.is_file() or (path / "data").is_file()]
        return found if found.is_file() else found / "data"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    with docker_registry(folder) as place:
        yield place, folder / "data" / "docker" / "registry" / "v2" / "blobs"


@pytest.fixture(params=["folder", "registry"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    exchange: Exchange
    if request.param == "folder":
        exchange, blobs = FolderExchange(tmp_path / "exchange", waits=()), tmp_path / "exchange" / "blobs"
    else:
        place, blobs = request.getfixturevalue("server")
        repository = f"{place}/{tmp_path.name.lower().replace('[', '-').strip('-_.]')}"
        exchange = RegistryExchange(parse_reference(repository), BRIEF)
    exchange.prepare()
    return Kind(exchange, blobs)


@pytest.fixture
def here(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


@pytest.fixture
def there(kind: Kind, tmp_path: Path) -> SharedStore:
    return SharedStore(tmp_path / "there", kind.exchange)


def text(what: str, request: pytest.FixtureRequest) -> bytes:
    """Bytes that no other test hands over: the tests of this module share a server."""
    return f"{what} of {request.node.name}".encode()


def test_what_one_machine_hands_over_another_has_when_it_wants_it(
    kind: Kind, here: ContentStore, there: SharedStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    blobs = [here.put_bytes(text(str(number), request)) for number in range(3)] + [here.put_bytes(b"")]
    kind.exchange.offer(blobs, here)
    assert not there.is_sound(blobs[0])
    assert there.verified(blobs[0]).read_bytes() == text("0", request)
    assert there.link(blobs[1], tmp_path / "linked").read_bytes() == text("1", request)
    assert there.path(blobs[2]).read_bytes() == text("2", request) and there.verified(blobs[3]).read_bytes() == b""
    assert all(ContentStore(there.root).is_sound(blob) for blob in blobs)


def test_what_is_damaged_on_a_machine_comes_anew_from_the_exchange(
    kind: Kind, here: ContentStore, there: SharedStore, request: pytest.FixtureRequest
) -> None:
    blob = here.put_bytes(text("sound", request))
    kind.exchange.offer([blob], here)
    spoil(there.verified(blob))
    assert there.verified(blob).read_bytes() == text("sound", request)


def test_what_was_never_handed_over_is_named(kind: Kind, there: SharedStore, request: pytest.FixtureRequest) -> None:
    blob = Blob.of(text("never", request))
    for ask in (there.verified, there.path):
        with pytest.raises(
            NotInExchange, match=f"{blob.digest} is neither in this machine's store nor in the exchange"
        ):
            ask(blob)


def test_what_is_damaged_in_the_exchange_is_named_and_not_used(
    kind: Kind, here: ContentStore, there: SharedStore, request: pytest.FixtureRequest
) -> None:
    blob = here.put_bytes(text("soon damaged", request))
    kind.exchange.offer([blob], here)
    spoil(kind.file_of(blob))
    with pytest.raises(DamagedInExchange, match=f"{blob.digest} as it lies in the exchange .* is damaged"):
        there.verified(blob)
    assert not there.is_sound(blob) and not list(there.root.glob("blobs/sha256/*"))
    if isinstance(kind.exchange, FolderExchange):  # put aside, so that it is missing and comes again
        kind.exchange.offer([blob], here)
        assert there.verified(blob).read_bytes() == text("soon damaged", request)


def test_what_is_damaged_on_a_machine_is_not_handed_over(
    kind: Kind, here: ContentStore, there: SharedStore, request: pytest.FixtureRequest
) -> None:
    blob = here.put_bytes(text("to be spoilt", request))
    spoil(here.path(blob))
    with pytest.raises(DamagedBlob):
        kind.exchange.offer([blob], here)
    with pytest.raises(NotInExchange):
        there.verified(blob)


def test_a_record_is_found_under_its_key_and_a_later_one_replaces_it(
    kind: Kind, here: ContentStore, request: pytest.FixtureRequest
) -> None:
    blobs = [here.put_bytes(text("result", request))] * 2
    kind.exchange.offer(blobs, here)
    key = f"compile_variant-{'0a' * 32}-1"
    assert kind.exchange.record(key) is None
    for data in (b'{"first": 1}', b'{"second": 2}'):
        kind.exchange.put_record(key, data, blobs)
        assert kind.exchange.record(key) == data


def test_the_servers_garbage_collection_keeps_what_a_record_names(
    here: ContentStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kept, dropped = here.put_bytes(b"named by a record"), here.put_bytes(b"named by none")
    folder = tmp_path / "server"
    with docker_registry(folder) as place:
        exchange = RegistryExchange(parse_reference(f"{place}/work"), BRIEF)
        exchange.offer([kept, dropped], here)
        exchange.put_record("key", b"{}", [kept])
    command = [program(), "garbage-collect", str(folder / "config.yml")]
    subprocess.run(command, check=True, capture_output=True)
    with docker_registry(folder) as place:
        exchange = RegistryExchange(parse_reference(f"{place}/work"), BRIEF)
        store = SharedStore(tmp_path / "there", exchange)
        assert exchange.record("key") == b"{}" and store.verified(kept).read_bytes() == b"named by a record"
        with pytest.raises(NotInExchange):
            store.verified(dropped)


def test_a_share_that_is_not_mounted_is_told_and_not_written_to(here: ContentStore, tmp_path: Path) -> None:
    blob, root = here.put_bytes(b"bytes"), tmp_path / "mount"
    exchange = FolderExchange(root, waits=())
    exchange.prepare()
    root.rename(tmp_path / "away")
    root.mkdir()
    for ask in (
        lambda: exchange.offer([blob], here),
        lambda: exchange.put_record("key", b"{}", []),
        lambda: exchange.record("key"),
        lambda: SharedStore(tmp_path / "there", exchange).verified(blob),
    ):
        with pytest.raises(ExchangeUnreachable, match=f"{root}.*cannot be used: there is no {MARK} in it"):
            ask()
    assert list(root.iterdir()) == []


def test_a_share_that_comes_back_is_waited_for(here: ContentStore, tmp_path: Path) -> None:
    blob, root = here.put_bytes(b"bytes"), tmp_path / "mount"
    FolderExchange(root).prepare()
    FolderExchange(root).offer([blob], here)
    root.rename(tmp_path / "away")
    back = threading.Timer(0.3, lambda: (tmp_path / "away").rename(root))
    back.start()
    store = SharedStore(tmp_path / "there", FolderExchange(root, waits=(0.1,) * 100))
    assert store.verified(blob).read_bytes() == b"bytes"


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/exchange"])
def test_a_folder_that_cannot_be_an_exchange_is_told(place: str) -> None:
    with pytest.raises(ExchangeUnreachable, match=f"The exchange {place}, where machines hand over"):
        FolderExchange(Path(place)).prepare()


def test_a_server_that_is_not_there_is_told(here: ContentStore, tmp_path: Path) -> None:
    exchange = RegistryExchange(parse_reference("127.0.0.1:9/work"), BRIEF)
    blob = here.put_bytes(b"bytes")
    for ask in (
        exchange.prepare,
        lambda: exchange.offer([blob], here),
        lambda: exchange.record("key"),
        lambda: exchange.put_record("key", b"{}", [blob]),
        lambda: SharedStore(tmp_path / "there", exchange).verified(blob),
    ):
        with pytest.raises(ExchangeUnreachable, match=r"The exchange 127\.0\.0\.1:9/work, .* cannot be used"):
            ask()


def test_a_server_that_is_started_again_is_waited_for(here: ContentStore, tmp_path: Path) -> None:
    blob = here.put_bytes(b"bytes")
    with docker_registry(tmp_path / "server") as place:
        exchange = RegistryExchange(parse_reference(f"{place}/work"), Limits(attempts=60, backoff_s=0.1))
        exchange.offer([blob], here)
    port = place.rpartition(":")[2]
    found: list[bytes] = []
    store = SharedStore(tmp_path / "there", exchange)
    reader = threading.Thread(target=lambda: found.append(store.verified(blob).read_bytes()))
    reader.start()
    time.sleep(0.2)
    assert not found
    config = tmp_path / "server" / "config.yml"
    with subprocess.Popen([program(), "serve", str(config)], stderr=subprocess.DEVNULL) as again:
        try:
            reader.join(60)
        finally:
            again.kill()
    assert found == [b"bytes"] and port in config.read_text()


def test_a_tag_that_is_no_record_of_ours_counts_as_none(server: tuple[str, Path]) -> None:
    from artifacts import media
    from artifacts.descriptors import EMPTY, artifact
    from artifacts.remote.client import RemoteRegistry
    from artifacts.remote.upload import put_manifest, upload_bytes

    place, _ = server
    with RemoteRegistry(place, "strange", actions="pull,push") as registry:
        for data in (EMPTY, b"no JSON"):
            upload_bytes(registry, data)
        put_manifest(registry, "record-key", artifact("a/b", "a/b", "it", b"no JSON"), media.MANIFEST)
    assert RegistryExchange(parse_reference(f"{place}/strange"), BRIEF).record("key") == b"no JSON"


def test_the_settings_name_one_exchange_or_none(tmp_path: Path) -> None:
    assert exchange_of(ExchangeSettings()) is None
    folder = exchange_of(ExchangeSettings(folder=tmp_path))
    assert isinstance(folder, FolderExchange) and folder is exchange_of(ExchangeSettings(folder=tmp_path))
    server = exchange_of(ExchangeSettings(repository="registry.example.com/centernet-work"))
    assert isinstance(server, RegistryExchange) and server.place == "registry.example.com/centernet-work"


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
