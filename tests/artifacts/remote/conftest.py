from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import List, Tuple

import pytest

from artifacts import layout, media
from artifacts.oci import read_index
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock, Limits
from tests.artifacts.releases import release
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.downloads import DATA
from tests.artifacts.remote.liar import REPOSITORY, Liar

QUICK = Limits(connect_s=5, read_s=0.3, attempts=3, rate_window_s=0.2, min_rate=4096, reserve=1 << 16)


class Waits(List[float]):
    """The waits that were asked for, in place of waiting."""

    def clock(self) -> Clock:
        return Clock(sleep=self.append, jitter=lambda: 0.0)


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def remote(liar: Liar, waits: Waits) -> Iterator[RemoteRegistry]:
    with RemoteRegistry(liar.place, REPOSITORY, access=Access(), limits=QUICK, clock=waits.clock()) as registry:
        yield registry


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "own")


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


@pytest.fixture
def data_there(liar: Liar) -> None:
    """Put the large blob on the server."""
    liar.put(DATA)
