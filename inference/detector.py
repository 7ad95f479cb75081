"""The detector: an image in, detections out."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Generator, List, Optional, Sequence, Tuple, Type, Union

import numpy as np

from inference.bmcv.feed import open_bmcv
from inference.decode import REGRESSION_CHANNELS, Detections, decode
from inference.engines import WAYS
from inference.engines.base import Engine, EngineInfo
from inference.engines.choose import EngineWish, open_engine, preferred_chip
from inference.errors import ImageError, ModelError, OptionError
from inference.feeding import BMCV, HOST, Feed, HostFeed, Picture
from inference.model import ReleasedModel, find_model
from inference.sources import SourceLike, open_source
from inference.stream import Network, Result, run_stream
from inference.times import StageTimes


class Detector:
    """A released model, loaded.

    >>> from inference import Detector                                  # doctest: +SKIP
    >>> with Detector("release-folder", chip="BM1684X") as detect:      # doctest: +SKIP
    ...     found = detect(cv2.imread("street.jpg"))
    ...     names = [detect.class_names[i] for i in found.class_ids]

    Attributes:
        model: The bmodel that was chosen, and its release.
        conf: Lowest score that is kept, 0 to 1.
        times: Where the time went so far.
    """

    def __init__(
        self,
        model: Union[str, Path],
        engine: str = "auto",
        *,
        chip: Optional[str] = None,
        precision: Optional[str] = None,
        batch: Optional[int] = None,
        io: Optional[str] = None,
        conf: float = 0.35,
        match_fp32: bool = False,
        top_k: int = 100,
        one_class_a_cell: bool = False,
        device: int = 0,
        python: Optional[Path] = None,
        preprocess: str = HOST,
    ) -> None:
        """Find, verify and load the model.

        Args:
            model: A release's folder, or a ``.bmodel`` inside one (`inference.model.find_model`).
            engine: ``sail`` (a device), ``simulator``, or ``auto``: a device where the machine has one, else the
                simulator; ``engine_info`` says which.
            chip: Only a model for this chip; None takes the device's, where the model runs on one.
            precision: Only ``fp32``, ``fp16`` or ``int8``.
            batch: Only a model that takes so many images at once.
            io: Only ``float`` or ``raw``, which takes the pixels as they are; float goes first.
            conf: Lowest score that is kept, 0 to 1.
            match_fp32: Whether ``conf`` is a score of the network in fp32: this model's score is taken at which it
                finds as many objects (`inference.model.ReleasedModel.matching_score`).
            top_k: Most detections for one image.
            one_class_a_cell: Whether only the best class of a cell is kept, as some protocols of accuracy have it.
            device: Which TPU, as ``bm-smi`` numbers them.
            python: The compiler environment's Python, for the simulator; None looks for it.
            preprocess: ``host``, or ``bmcv``, which decodes plain JPEG files and prepares images on the device; what
                that changes is in docs/hardware-preprocessing.md.

        Raises:
            OptionError: There is no such engine, device, chip, precision, io or preprocessing, or no device for it.
            ModelError: The model is missing, damaged, or does not match its release.
            EngineNotFound: This machine has no such engine.
            EngineError: The engine failed to start.
        """
        wish = EngineWish(engine, device, python)
        path, own_chip = Path(model), preferred_chip(wish)
        # A file is what was meant: the engine says so where it is for another chip.
        wanted = chip or (own_chip if path.is_dir() else None)
        self.model: ReleasedModel = find_model(path, chip=wanted, precision=precision, batch=batch, io=io)
        self.times = StageTimes()
        self.conf = self.model.matching_score(conf) if match_fp32 else conf
        self._top_k = top_k
        self._one_class_a_cell = one_class_a_cell
        self._feed: Feed
        if preprocess == HOST:
            self._engine = _open_engine(self.model, wish)
            self._feed = HostFeed(self._engine, self.model.spec)
        elif preprocess == BMCV:
            self._engine, self._feed = open_bmcv(self.model.path, self.model.variant.chip, self.model.spec, wish)
        else:
            raise OptionError(f"there is no preprocessing {preprocess!r}: choose one of {', '.join(WAYS)}")
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

    @property
    def preprocess(self) -> str:
        """What prepares images: ``host`` or ``bmcv``."""
        return self._feed.name

    def decode(self, data: bytes, path: Path) -> Picture:
        """Decode an image file's bytes as `stream` does it, for `detect`.

        Args:
            data: The bytes of a JPEG, PNG or BMP file.
            path: Where they come from, for messages.

        Returns:
            uint8 [H, W, 3], BGR; with ``bmcv``, maybe an image that lies on the device.

        Raises:
            ImageError: As of `inference.images.decode_image`.
            EngineError: The device failed.
        """
        return self._feed.decode(data, path)

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

    def detect(self, images: Sequence[Picture]) -> List[Detections]:
        """Detect objects in several images; a model of a larger batch takes them together.

        Args:
            images: uint8 [H, W, 3] each, channels in BGR order, of any sizes, or what `decode` gives; at least one.

        Returns:
            The detections of each image, in order.

        Raises:
            OptionError: There is no image, or ``conf`` or ``top_k`` is out of range.
            ImageError: An array is no such image; the message says which.
            EngineError: The engine failed.
            ModelError: The engine returned NaN, infinities or another shape.
        """
        if not images:
            raise OptionError("a batch needs at least one image")
        started = time.perf_counter()
        batch = self._feed.begin(len(images))
        for index, image in enumerate(images):
            try:
                batch.fill(index, image)
            except ImageError as error:
                raise ImageError(f"image {index} of the batch: {error}") from error
        prepared = time.perf_counter()
        heads = batch.run(range(len(images)))
        inferred = time.perf_counter()
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        affines = [self._feed.affine(size) for size in sizes]
        found = decode(
            heads,
            sizes,
            spec=self.model.spec,
            conf=self.conf,
            top_k=self._top_k,
            one_class_a_cell=self._one_class_a_cell,
            affines=affines,
        )
        decoded = time.perf_counter()
        self.times += StageTimes(len(images), prepared - started, inferred - prepared, decoded - inferred)
        return found

    def stream(
        self,
        source: SourceLike,
        *,
        threads: Optional[int] = None,
        on_unreadable: Optional[Callable[[ImageError], None]] = None,
    ) -> Generator[Result, None, None]:
        """Detect objects in every image of a folder, a video, a camera, or whatever else gives images.

        Reading, preprocessing, inference and decoding overlap, in threads, so that the engine limits; a model of a
        larger batch gets full batches where images do not come one by one. Memory does not grow with the input. Closing
        the iterator, or leaving the loop and letting go of it, ends the threads; use no other method meanwhile.

        >>> for result in detect.stream("street.mp4"):                      # doctest: +SKIP
        ...     print(result.time_s, result.detections.boxes_xyxy)

        Args:
            source: A path, ``camera:0``, ``rtsp://...``, arrays (uint8 [H, W, 3] in BGR order), or an iterable of
                arrays and image files (`inference.sources.open_source`). An iterable is read ahead, in a thread.
            threads: How many read and preprocess; None takes as many as there are cores, 2 to 4.
            on_unreadable: Called for each image that cannot be read, in its place; None logs it. It has no result.

        Returns:
            An iterator of a result for each readable image, in order: its detections, the image, name and time.

        Raises:
            OptionError: The text names no source, or ``threads`` is below 1.
            ImageError: There is no such file or folder, or no image in it.
            SourceError: A video cannot be opened; or, while iterating, a camera or stream gives no frames any more.
            EngineError: While iterating: the engine failed.
            ModelError: While iterating: the engine returned NaN, infinities or another shape.
        """
        network = Network(
            self._engine, self.model.spec, self.conf, self._top_k, self._feed, one_class_a_cell=self._one_class_a_cell
        )
        frames = open_source(source)
        return run_stream(frames, network, threads=threads, on_unreadable=on_unreadable, on_times=self._count)

    def _count(self, times: StageTimes) -> None:
        self.times += times

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._feed.close()
        self._engine.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _open_engine(model: ReleasedModel, wish: EngineWish) -> Engine:
    return open_engine(model.path, model.variant.chip, wish)


def _check_agreement(model: ReleasedModel, info: EngineInfo) -> None:
    """Refuse a model that does not take or give what its release says."""
    spec, classes = model.spec, len(model.release.class_names)
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
