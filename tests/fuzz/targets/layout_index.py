"""A layout whose `index.json` anybody wrote: its tags, what they lead to, and changing them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from artifacts import layout, media
from artifacts.errors import ArtifactError
from artifacts.layout_index import INDEX_FILE, LAYOUT_FILE
from artifacts.layout_reach import channel_digests, reachable, releases, remove_version
from artifacts.layout_tags import TagChange, empty_index, tag_entry
from artifacts.store import ContentStore
from tests.fuzz.places import scratch

JSON = True


def target(data: bytes) -> None:
    """List, resolve, follow, tag and remove."""
    root = scratch() / "layout"
    root.mkdir(exist_ok=True)
    (root / LAYOUT_FILE).write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (root / INDEX_FILE).write_bytes(data)
    change = TagChange("9.0.0", tag_entry(media.INDEX, b"{}", "9.0.0"), False)
    for work in (
        lambda: [layout.resolve(root, tag) for tag in layout.tags(root)],
        lambda: releases(root),
        lambda: reachable(root),
        lambda: layout.check(root),
        lambda: channel_digests(root, {"manifests": []}, "latest"),
        lambda: layout.retag(root, [change]),
        lambda: remove_version(root, "1.0.0"),
    ):
        try:
            work()
        except ArtifactError:
            continue


def seeds() -> Iterator[bytes]:
    """An index with some tags, and what a published one looks like."""
    yield b'{"manifests":[],"schemaVersion":2}'
    entries = [tag_entry(media.INDEX, text.encode(), text) for text in ("1.0.0", "latest", "channel-latest")]
    store = ContentStore(scratch() / "layout")
    for entry in entries:
        store.put_bytes(entry["annotations"][media.TAG].encode())
    yield __import__("json").dumps({**empty_index(), "manifests": entries}).encode()


def forget() -> None:
    """Remove what the target keeps between inputs."""
    shutil.rmtree(scratch() / "layout", ignore_errors=True)
