"""`tasks.coco`: the annotations of a data set, as the build reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.coco import parse_dataset
from tasks.errors import BadAnnotations
from tests.fuzz.targets import annotations

JSON = True


def target(data: bytes) -> None:
    """Read them; what is accepted can be stored and narrowed."""
    try:
        read = parse_dataset(data)
    except BadAnnotations as error:
        str(error).encode()
        return
    assert all(not Path(one.file_name).is_absolute() and ".." not in Path(one.file_name).parts for one in read.images)
    read.subset([one.id for one in read.images[:1]]).model_dump_json()


def seeds() -> Iterator[bytes]:
    """As for the device."""
    yield from annotations.seeds()
