"""`artifacts.bmodel`: a compiled file, which the vendor's runtime reads without checking anything."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.bmodel import content_digest, normalisable, normalised, read_bmodel
from artifacts.errors import BmodelError
from tests.artifacts.bmodel_files import built_bmodel, real_bmodel
from tests.fuzz.places import written


def target(data: bytes) -> None:
    """Describe, hash and normalise it; what was normalised stays so."""
    path = written("a.bmodel", data)
    for work in (read_bmodel, content_digest):
        try:
            work(path)
        except BmodelError:
            continue
    try:
        once = normalised(data)
        normalisable(data)
    except BmodelError:
        return
    assert len(once) == len(data) and normalised(once) == once


def seeds() -> Iterator[bytes]:
    """Built ones for each chip, and a real one."""
    yield built_bmodel()
    yield built_bmodel(chip="BM1684", mode=7)
    yield built_bmodel(chip="BM1688", cores=2, host=1)
    yield real_bmodel("bm1684_int8")
