"""What `bench` and `validate` share: the times of each stage, and what the numbers were made with."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from artifacts.variant import Record
from inference.detector import Detector
from inference.engines import sophon_sdk
from inference.errors import EngineNotFound
from inference.feeding import HOST
from inference.output_files import write_whole
from inference.times import StageTimes

STAGES = ("read", "preprocess", "infer", "decode")


class Figures(Record):
    """How long one image took in one stage, in milliseconds: over the calls, each divided by its number of images."""

    median_ms: float
    p95_ms: float


class Setting(Record):
    """What numbers were made with.

    Attributes:
        engine: ``sail`` or ``simulator``.
        chip: The chip that the model is for.
        device: Which TPU; None in the simulator.
        release: Name of the release.
        version: Its version.
        variant: The model's path inside it.
        model_digest: Of the model's bytes.
        versions: Of Python, its packages, and what the vendor installed: driver, libsophon, sail, where they are.
        preprocess: What decoded and prepared the images: ``host`` or ``bmcv``; older reports do not say.
    """

    engine: str
    chip: str
    device: Optional[int] = None
    release: str
    version: str
    variant: str
    model_digest: str
    versions: Dict[str, str]
    preprocess: str = HOST


class Timer(NamedTuple):
    """Times of all calls so far, one entry each."""

    calls: List[StageTimes]

    def detected(self, before: StageTimes, after: StageTimes, read_s: float = 0.0) -> None:
        """Add a call of `Detector.detect`.

        Args:
            before: The detector's times before it.
            after: And after it.
            read_s: Seconds that reading its images took.
        """
        self.calls.append(
            StageTimes(
                after.images - before.images,
                after.preprocess_s - before.preprocess_s,
                after.infer_s - before.infer_s,
                after.decode_s - before.decode_s,
                read_s,
            )
        )

    @property
    def images(self) -> int:
        """How many images all calls had."""
        return sum(call.images for call in self.calls)

    def figures(self) -> Dict[str, Figures]:
        """Median and 95th percentile of each stage, and of their sum, ``total``; nothing before the first call."""
        if not self.calls:
            return {}
        counts = np.array([call.images for call in self.calls])
        table = np.array([_seconds(call) for call in self.calls]) * 1000 / counts[:, None]
        named = {**dict(zip(STAGES, table.T)), "total": table.sum(axis=1)}
        return {
            name: Figures(median_ms=float(np.median(values)), p95_ms=float(np.percentile(values, 95)))
            for name, values in named.items()
        }

    def images_per_second(self) -> float:
        """Images a second, the stages one after the other and without reading."""
        seconds = sum(sum(_seconds(call)[1:]) for call in self.calls)
        return self.images / seconds if seconds > 0 else 0.0


def setting_of(detector: Detector, device: int) -> Setting:
    """Say what a detector's numbers are made with.

    Args:
        detector: The detector.
        device: Which TPU was asked for.
    """
    info, model = detector.engine_info, detector.model
    return Setting(
        engine=info.engine,
        chip=info.chip,
        device=device if info.engine == "sail" else None,
        release=model.release.name,
        version=model.release.version,
        variant=model.variant.path,
        model_digest=model.chosen.blob.digest,
        versions=versions(),
        preprocess=detector.preprocess,
    )


def versions() -> Dict[str, str]:
    """Versions of what has a say in the numbers; what is not there is left out."""
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "machine": platform.machine(),
        "libsophon": sophon_sdk.libsophon_version() or "",
        "driver": sophon_sdk.driver_version() or "",
    }
    with suppress(EngineNotFound):
        found["sail"] = str(getattr(sophon_sdk.find_sail(), "__version__", "unknown"))
    return {name: version for name, version in found.items() if version}


def figures_text(figures: Dict[str, Figures]) -> str:
    """The times as lines of text."""
    return "\n".join(
        f"  {name:10} median {one.median_ms:9.2f} ms   p95 {one.p95_ms:9.2f} ms" for name, one in figures.items()
    )


def write_report(path: Path, report: Record) -> None:
    """Write a report as JSON.

    Raises:
        OutputError: It cannot be written.
    """
    write_whole(path, (report.model_dump_json(indent=1) + "\n").encode())


def _seconds(call: StageTimes) -> Tuple[float, float, float, float]:
    return call.read_s, call.preprocess_s, call.infer_s, call.decode_s
