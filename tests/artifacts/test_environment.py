"""What other programs get of our environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Iterator

import pytest

from artifacts.digest import digest_bytes
from artifacts.environment import for_programs, shut_to_others, without_secrets
from artifacts.files import atomic_write
from artifacts.store import ContentStore

OURS = {
    "PATH": "/bin",
    "LC_TIME": "C",
    "https_proxy": "http://u:p@proxy",
    "CENTERNET_REGISTRY_USER": "alice",
    "CENTERNET_REGISTRY_PASSWORD": "wonder",
    "CENTERNET_KEY_PASSPHRASE": "open",
    "CENTERNET_CACHE": "/cache",
    "CENTERNET_WEIGHTS__MIRRORS": "https://u:p@mirror/w",
    "UV_INDEX_URL": "https://u:p@index/simple",
    "PIP_INDEX_URL": "https://u:p@index/simple",
    "PREFECT_API_KEY": "key",
    "NETRC": "/home/netrc",
    "NETRC_MORE": "no",
}


def test_a_program_of_others_gets_what_is_listed_and_nothing_else() -> None:
    assert for_programs(OURS) == {"PATH": "/bin", "LC_TIME": "C"}
    assert for_programs(OURS, network=True).keys() == {"PATH", "LC_TIME", "https_proxy"}
    assert for_programs(OURS, "UV_", "NETRC").keys() == {"PATH", "LC_TIME", "UV_INDEX_URL", "NETRC"}


def test_a_process_of_ours_that_needs_no_secret_gets_none() -> None:
    assert without_secrets(OURS).keys() == {
        "PATH", "LC_TIME", "https_proxy", "CENTERNET_CACHE", "PREFECT_API_KEY", "NETRC", "NETRC_MORE"
    }  # fmt: skip


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize(("given", "expected"), [(0o000, 0o002), (0o002, 0o002), (0o022, 0o022), (0o077, 0o077)])
def test_what_we_make_is_never_written_by_others(umask: None, tmp_path: Path, given: int, expected: int) -> None:
    os.umask(given)
    shut_to_others()
    assert os.umask(expected) == expected
    store = ContentStore(tmp_path / "a" / "store")
    blob = store.put_bytes(b"bytes")
    atomic_write(tmp_path / "a" / "file", b"text")
    assert blob.digest == digest_bytes(store.verified(blob).read_bytes())
    made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
    assert len(made) > 4 and not [path for path in made if path.stat().st_mode & stat.S_IWOTH]
