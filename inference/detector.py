"""The detector: an image in, detections out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import List, Optional, Sequence, Tuple, Type, Union

import numpy as np

from inference.decode import REGRESSION_CHANNELS, Detections, decode
from inference.engines import ENGINE_NAMES
from inference.engines.base import Engine, EngineInfo
from inference.engines.simulator import SimulatorEngine
from inference.errors import ModelError, OptionError
from inference.model import ReleasedModel, find_model
from inference.preprocess import preprocess_batch


@dataclass(frozen=True)
class StageTimes:
    """Wall-clock seconds spent, summed over all images so far.

    Attributes:
        images: How many images that were.
        preprocess_s: From pixels to input tensors.
        infer_s: In the engine.
        decode_s: From head tensors to detections.
    """

    images: int = 0
    preprocess_s: float = 0.0
    infer_s: float = 0.0
    decode_s: float = 0.0


class Detector:
    """A released model, loaded.

    >>> from inference import Detector                                  # doctest: +SKIP
    >>> with Detector("release-folder", chip="BM1684X") as detect:      # doctest: +SKIP
    ...     found = detect(cv2.imread("street.jpg"))
    ...     names = [detect.class_names[i] for i in found.class_ids]

    Attributes:
        model: The bmodel that was chosen, and its release.
        times: Where the time went so far.
    """

    def __init__(
        self,
        model: Union[str, Path],
        engine: str = "auto",
        *,
        chip: Optional[str] = None,
        precision: Optional[str] = None,
        conf: float = 0.35,
        top_k: int = 100,
        python: Optional[Path] = None,
    ) -> None:
        """Find, verify and load the model.

        Args:
            model: A release's folder, or a ``.bmodel`` inside one (`inference.model.find_model`).
            engine: ``auto`` or ``simulator``; ``auto`` takes what the machine has.
            chip: Only a model for this chip.
            precision: Only ``fp32``, ``fp16`` or ``int8``.
            conf: Lowest score that is kept, 0 to 1.
            top_k: Most detections for one image.
            python: The compiler environment's Python, for the simulator; None looks for it.

        Raises:
            OptionError: There is no such engine, chip or precision.
            ModelError: The model is missing, damaged, or does not match its release.
            EngineNotFound: This machine has no such engine.
            EngineError: The engine failed to start.
        """
        if engine not in ENGINE_NAMES:
            raise OptionError(f"there is no engine {engine!r}: choose one of {', '.join(ENGINE_NAMES)}")
        self.model: ReleasedModel = find_model(Path(model), chip=chip, precision=precision)
        self.times = StageTimes()
        self._conf = conf
        self._top_k = top_k
        self._engine = _open_engine(self.model, python)
        try:
            _check_agreement(self.model, self._engine.info)
        except BaseException:
            self.close()
            raise

    @property
    def class_names(self) -> Tuple[str, ...]:
        """The name of each class id."""
        return self.model.release.class_names

    @property
    def engine_info(self) -> EngineInfo:
        """The engine that was taken, and what it has loaded."""
        return self._engine.info

    def __call__(self, image: np.ndarray) -> Detections:
        """Detect objects in one image.

        Args:
            image: uint8 [H, W, 3], channels in BGR order.

        Returns:
            The detections, best first, in pixels of this image.

        Raises:
            ImageError: The array is no such image.
            EngineError: The engine failed.
            ModelError: The engine returned NaN, infinities or another shape.
        """
        return self.detect([image])[0]

    def detect(self, images: Sequence[np.ndarray]) -> List[Detections]:
        """Detect objects in several images; a model of a larger batch takes them together.

        Args:
            images: uint8 [H, W, 3] each, channels in BGR order, of any sizes; at least one.

        Returns:
            The detections of each image, in order.

        Raises:
            OptionError: There is no image, or ``conf`` or ``top_k`` is out of range.
            ImageError: An array is no such image; the message says which.
            EngineError: The engine failed.
            ModelError: The engine returned NaN, infinities or another shape.
        """
        spec = self.model.release.preprocess
        started = time.perf_counter()
        batch = preprocess_batch(images, spec)
        prepared = time.perf_counter()
        heads = self._engine.run(batch)
        inferred = time.perf_counter()
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        found = decode(heads, sizes, spec=spec, conf=self._conf, top_k=self._top_k)
        decoded = time.perf_counter()
        self.times = StageTimes(
            self.times.images + len(images),
            self.times.preprocess_s + prepared - started,
            self.times.infer_s + inferred - prepared,
            self.times.decode_s + decoded - inferred,
        )
        return found

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._engine.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _open_engine(model: ReleasedModel, python: Optional[Path]) -> Engine:
    # Whichever name was asked for: the simulator is the one engine there is.
    return SimulatorEngine(model.path, chip=model.variant.chip, python=python)


def _check_agreement(model: ReleasedModel, info: EngineInfo) -> None:
    """Refuse a model that does not take or give what its release says."""
    spec, classes = model.release.preprocess, len(model.release.class_names)
    wanted = (model.variant.batch, 3, spec.height, spec.width)
    if info.input.shape != wanted or info.input_dtype != spec.dtype:
        raise ModelError(
            f"{model.path} takes {info.input_dtype} {list(info.input.shape)}, but its release says {spec.dtype} "
            f"{list(wanted)}: the release is inconsistent and cannot be used",
            model.path,
        )
    if info.output.shape[1] != classes + REGRESSION_CHANNELS:
        raise ModelError(
            f"{model.path} gives {info.output.shape[1]} channels, but its release has {classes} class names and "
            f"{REGRESSION_CHANNELS} channels more: the release is inconsistent and cannot be used",
            model.path,
        )
