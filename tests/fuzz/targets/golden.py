"""`artifacts.golden.Golden`: what a model should give for the images that go with it."""

from __future__ import annotations

from collections.abc import Iterator

from artifacts.errors import ReleaseError
from artifacts.golden import Golden, GoldenHead, GoldenImage, GoldenOutput
from tests.artifacts.releases import blob_of

JSON = True


def target(data: bytes) -> None:
    """Read golden outputs; what is accepted is written and read back."""
    try:
        read = Golden.from_json(data)
    except ReleaseError:
        return
    assert Golden.from_json(read.to_json()) == read


def seeds() -> Iterator[bytes]:
    """Two images and two chips."""
    heads = (
        GoldenHead(head="heatmap", positions=(0, 5), values=(-1.5, 0.25)),
        GoldenHead(head="size", positions=(9,), values=(3,)),
    )
    outputs = tuple(
        GoldenOutput(chip=chip, precision="int8", tolerance=0.125, images=(heads, heads))
        for chip in ("BM1684X", "BM1688")
    )
    images = tuple(GoldenImage(title=f"golden/{n}.png", blob=blob_of(bytes([n]))) for n in range(2))
    yield Golden(shape=(84, 4, 4), images=images, outputs=outputs).to_json()
