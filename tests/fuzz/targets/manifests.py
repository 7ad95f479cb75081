"""`artifacts.oci`: the index and the manifests of a release, as a server or a layout gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from artifacts.errors import LayoutError
from artifacts.oci import build, read_index, read_manifest
from tests.artifacts.releases import SHARED, blob_of, model_bytes, record

JSON = True


def target(data: bytes) -> None:
    """Read an index and a manifest; titles that are accepted stay below a folder."""
    try:
        chips = [child.chip for child in read_index(data)]
        assert len(set(chips)) == len(chips)
    except LayoutError:
        pass
    try:
        titles = list(read_manifest(data).files)
    except LayoutError:
        return
    for title in titles:
        path = PurePosixPath(title)
        assert not path.is_absolute() and ".." not in path.parts and "\\" not in title and title.isprintable()


def seeds() -> Iterator[bytes]:
    """An index and the manifests that it names."""
    one = record()
    files = {item.variant.path: blob_of(model_bytes(item.variant, one.version)) for item in one.variants}
    built = build(one, {**files, **{title: blob_of(data) for title, data in SHARED.items()}})
    yield built.index_json
    yield from built.manifests.values()
