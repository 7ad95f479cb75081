"""Releases in a registry on this machine, and an engine that gives what their golden files say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Tuple, Type

import cv2
import numpy as np

from artifacts import layout
from artifacts.golden import GOLDEN_TITLE, Golden, GoldenHead, GoldenImage, GoldenOutput
from artifacts.reference import Reference, parse_reference
from artifacts.registry import LayoutRegistry, Progress
from artifacts.release import PreprocessSpec, ReleaseRecord, TensorInfo, Variant
from artifacts.store import Blob, ContentStore
from inference.deploy.pull import Check, Pulled, pull
from inference.deploy.selftest import check_release
from inference.deploy.store import DeviceStore
from inference.engines.base import EngineInfo, run_in_slices
from inference.model import ReleasedModel
from inference.wish import Wish
from tests.artifacts.releases import VARIANTS, blob_of, record, release

SPEC = PreprocessSpec(width=32, height=32)
SHAPE = (6, 8, 8)
INT8 = Variant(chip="BM1684X", precision="int8", batch=1)
FOUR = Variant(chip="BM1688", precision="int8", batch=4, cores=2)
ONE = Wish(chip="BM1684X", precision="int8")
TOLERANCE = 0.25

PICTURES = [np.full((32, 32, 3), level, np.uint8) for level in (60, 200)]


class EngineInMemory:
    """Gives the mean of its input, plus a number for each place; a wrong head or NaN where told to.

    What takes raw pixels does the arithmetic of the preprocessing first.
    """

    def __init__(self, variant: Variant, off: Optional[Dict[int, float]] = None) -> None:
        self.dtype = SPEC.of(variant).dtype
        data = TensorInfo(name="x", dtype=self.dtype, shape=(variant.batch, 3, 32, 32))
        heads = TensorInfo(name="y", dtype="float32", shape=(variant.batch, *SHAPE))
        self.info = EngineInfo("memory", variant.chip, data, self.dtype, heads)
        self.off = off or {}
        self.slices: List[int] = []
        self.closed = False

    def run(self, batch: np.ndarray) -> np.ndarray:
        return run_in_slices(batch, self.info.batch, self._run_full)

    def _run_full(self, batch: np.ndarray) -> np.ndarray:
        self.slices.append(len(batch))
        assert len(batch) == self.info.batch and batch.dtype == self.dtype
        if batch.dtype == np.uint8:
            mean, std = (np.array(value, np.float32).reshape(3, 1, 1) for value in (SPEC.mean, SPEC.std))
            batch = ((batch * SPEC.scale - mean) / std).astype(np.float32)
        heads = np.stack([heads_of(image) for image in batch])
        for channel, value in self.off.items():
            heads[:, channel] += np.float32(value)
        return heads

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> EngineInMemory:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def heads_of(image: np.ndarray) -> np.ndarray:
    """What the network makes of one input [3, 32, 32]."""
    places = np.arange(int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE) / 7
    return np.asarray(places + image.mean(dtype=np.float32), dtype=np.float32)


def check_with(off: Optional[Dict[int, float]] = None) -> Check:
    """The self-test with an engine in memory."""

    def opened(model: ReleasedModel) -> EngineInMemory:
        return EngineInMemory(model.variant, off)

    def check(folder: Path, found: ReleaseRecord, variants: Sequence[Variant]) -> None:
        check_release(folder, found, variants, opened)

    return check


def golden(variants: Sequence[Variant], tolerance: float = TOLERANCE) -> Tuple[Golden, Dict[str, bytes]]:
    """Golden outputs for some variants, and the files that go with them."""
    from inference.preprocess import preprocess

    files = {
        f"golden/scene-{number}.png": cv2.imencode(".png", picture)[1].tobytes()
        for number, picture in enumerate(PICTURES, 1)
    }
    images = []
    for picture in PICTURES:
        heads = heads_of(preprocess(picture, SPEC)).reshape(-1)
        plane = SHAPE[1] * SHAPE[2]
        spans = {"heatmap": (0, 2 * plane), "size": (2 * plane, 4 * plane), "offset": (4 * plane, 6 * plane)}
        images.append(
            [
                GoldenHead.model_validate(
                    {
                        "head": head,
                        "positions": range(first, end, 5),
                        "values": [float(str(heads[position])) for position in range(first, end, 5)],
                    }
                )
                for head, (first, end) in spans.items()
            ]
        )
    pairs = sorted({(variant.chip, variant.precision) for variant in variants})
    found = Golden(
        shape=SHAPE,
        images=tuple(GoldenImage(title=title, blob=blob_of(data)) for title, data in files.items()),
        outputs=tuple(
            GoldenOutput.model_validate(
                {"chip": chip, "precision": precision, "tolerance": tolerance, "images": images}
            )
            for chip, precision in pairs
        ),
    )
    return found, {**files, GOLDEN_TITLE: found.to_json()}


def publish(
    folder: Path,
    version: str = "1.0.0",
    variants: Sequence[Variant] = VARIANTS,
    *,
    with_golden: bool = True,
    padding: int = 0,
) -> Reference:
    """Publish a release below a folder, under its version and `latest`, and return the reference to it.

    Args:
        folder: Of the tests' own.
        version: Makes every bmodel another one.
        variants: What it has.
        with_golden: Whether it can be tested.
        padding: Bytes of one more file, which goes with every chip.
    """
    described, files = release(folder / "sources", version, variants)
    described = record(version, variants).model_copy(update={"preprocess": SPEC, "class_names": ("cat", "dog")})
    extra = golden(variants)[1] if with_golden else {}
    if padding:
        extra["padding.txt"] = version.encode() * (padding // len(version))
    for title, data in extra.items():
        files[title] = folder / "sources" / version / title.replace("/", "_")
        files[title].write_bytes(data)
    layout.publish(folder / "registry", described, files, (version, "latest"))
    return parse_reference(f"oci:{folder}/registry:{version}")


class CountingRegistry(LayoutRegistry):
    """Notes what was fetched."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched: List[Blob] = []

    def fetch(self, blob: Blob, store: ContentStore, progress: Optional[Progress] = None) -> Path:
        self.fetched.append(blob)
        return super().fetch(blob, store, progress)


def pulled(
    reference: Reference,
    store: DeviceStore,
    wish: Wish = ONE,
    *,
    check: Optional[Check] = None,
    activate: bool = True,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Pulled:
    """Pull; with the engine in memory where no other check is given."""
    registry = LayoutRegistry(Path(reference.place))
    return pull(registry, reference, wish, store, check=check or check_with(), activate=activate, progress=progress)
