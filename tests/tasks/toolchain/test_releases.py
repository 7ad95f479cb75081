"""What releases of the compiler there are: the real uv, asked about a folder and an index on the loopback."""

from __future__ import annotations

import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import uv

from tasks.errors import IndexFailed, IndexUnreachable
from tasks.toolchain.releases import between, is_newer, newest

FOR_310, FOR_311 = 'data-requires-python="&gt;=3.10,&lt;3.11"', 'data-requires-python="&gt;=3.11"'


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's settings for uv is read, and nothing is remembered."""
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    nothing = tmp_path / "nothing.toml"
    nothing.touch()
    monkeypatch.setenv("UV_CONFIG_FILE", str(nothing))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that uv is told to look in, and nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    settings = tmp_path / "uv.toml"
    settings.write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the compiler's page in an index on the loopback."""
    page = tmp_path / "index" / "simple" / "tpu-mlir"
    page.mkdir(parents=True)
    handler = partial(Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple")
        yield page
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def wheel(folder: Path, version: str, tag: str = "py3-none-any") -> Path:
    """Write a wheel that has a name, a version and nothing else."""
    path = folder / f"tpu_mlir-{version}-{tag}.whl"
    metadata = f"Metadata-Version: 2.1\nName: tpu_mlir\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"tpu_mlir-{version}.dist-info/METADATA", metadata)
        archive.writestr(f"tpu_mlir-{version}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"tpu_mlir-{version}.dist-info/RECORD", "")
    return path


def offer(page: Path, *versions: str, **marks: str) -> None:
    """Write the index's page about the compiler; every release is for the compiler's Python unless marked otherwise."""
    links = []
    for version in versions:
        name, mark = wheel(page, version).name, marks.get(f"v{version.replace('.', '_')}", FOR_310)
        links.append(f'<a href="{name}" {mark}>{name}</a>')
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{'<br>'.join(links)}</body></html>")


def test_the_newest_is_found_by_number_and_not_by_name(folder: Path) -> None:
    for version in ("1.9.1", "1.28.1", "1.30.2", "1.4"):
        wheel(folder, version)
    assert newest() == "1.30.2"


def test_releases_before_a_final_one_and_for_another_machine_do_not_count(folder: Path) -> None:
    wheel(folder, "1.30.2")
    wheel(folder, "1.31.0rc1")
    wheel(folder, "1.32.dev3")
    wheel(folder, "1.34.0", tag="py3-none-win_amd64")
    assert newest() == "1.30.2"


def test_those_between_two_come_oldest_first_without_the_two(folder: Path) -> None:
    for version in ("1.27", "1.28.1", "1.29.0", "1.29.10", "1.29.9", "1.30.0b1", "1.30.2", "1.31.0"):
        wheel(folder, version)
    assert between("1.28.1", "1.30.2") == ("1.29.0", "1.29.9", "1.29.10")
    assert between("1.31.0", "1.99.0") == ()


def test_a_release_that_was_taken_back_or_is_for_another_python_does_not_count(index: Path) -> None:
    offer(index, "1.28.1", "1.30.2", "1.31.0", "1.32.0", v1_31_0='data-yanked="broken"', v1_32_0=FOR_311)
    assert newest() == "1.30.2"


def test_what_the_index_offers_since_the_last_question_is_found(index: Path) -> None:
    offer(index, "1.28.1")
    assert newest() == "1.28.1"
    offer(index, "1.28.1", "1.30.2")
    assert newest() == "1.30.2"


def test_an_index_without_the_compiler_is_said_to_have_none(index: Path) -> None:
    with pytest.raises(IndexFailed, match=r"gave no release of the compiler .*The installer says: .*tpu-mlir"):
        newest()


def test_an_index_that_is_not_there_is_told_from_one_that_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://somebody:secret@{place}/simple")
        with pytest.raises(IndexUnreachable, match=r"could not be asked .* Nothing was built or published") as caught:
            newest()
        with pytest.raises(IndexUnreachable):
            between("1.28.1", "1.30.2")
    assert place in str(caught.value) and "secret" not in str(caught.value)


def test_an_index_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "uv"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(slow))
    with pytest.raises(IndexUnreachable, match=r"no answer within 0\.3 s"):
        newest(limit_s=0.3)


def test_a_machine_that_is_told_to_stay_offline_is_asked_only_for_what_it_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(folder, "1.30.2")
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert newest() == "1.30.2"


def test_versions_are_compared_as_numbers() -> None:
    assert is_newer("1.30.2", "1.9.9") and is_newer("1.30.2", "1.30.2rc1") and is_newer("1.30.10", "1.30.9")
    assert not is_newer("1.30.2", "1.30.2") and not is_newer("1.30", "1.30.0")
