"""`inference.annotations`: the annotations that a device validates by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inference.annotations import class_of_category, dataset_digest, read_annotations
from inference.errors import AnnotationError
from tests.fuzz.places import written
from tests.tasks.annotation_files import write_annotations

JSON = True


def target(data: bytes) -> None:
    """Read them, and use what is accepted."""
    try:
        read = read_annotations(written("annotations.json", data))
    except AnnotationError:
        return
    dataset_digest(read.digest, [(name, read.digest) for name in read.images.values()])
    assert all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in read.images.values())
    assert set(read.first(1).boxes) <= set(read.boxes) == set(read.images)
    try:
        class_of_category(read, ("circle", "square"))
    except AnnotationError:
        return


def seeds() -> Iterator[bytes]:
    """Two images, three boxes."""
    path = write_annotations(
        written("seed.json", b""), {"a.jpg": [(1, 2, 30, 40)], "b/c.jpg": [(0, 0, 5, 5), (9, 9, 1, 1)]}
    )
    yield path.read_bytes()
