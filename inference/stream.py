"""The pipeline: frames in, detections out, in order, with every stage at work on another frame.

::

    take ──> read + preprocess (several threads) ──> infer ──> decode ──> whoever iterates

A thread each for taking, inferring and decoding, and a pool between the first two. So many batches are under way at a
time that every thread has one and the engine finds the next one ready, and no more: memory does not grow with the
input. An error ends the channel behind its stage: it comes out after every result before it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Callable, Dict, Generator, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from artifacts.release import PreprocessSpec
from inference.channel import Channel, Closed
from inference.decode import Detections, decode
from inference.engines.base import Engine
from inference.errors import ImageError, OptionError
from inference.feeding import Batch, Feed, HostFeed, on_host
from inference.sources import FileFrame, Frame, Pending, Source
from inference.times import StageTimes

LOG = logging.getLogger(__name__)

MOST_THREADS = 4
"""Reading threads where nobody asks for a number: a JPEG of 640 x 480 keeps one busy for about as long as a chip."""

_JOIN_S = 30.0


@dataclass(frozen=True, eq=False)
class Result:
    """What was found in one frame.

    Attributes:
        index: The frame's place in its source, from 0.
        name: File name, or the source's name and the number of the frame, from 1.
        image: uint8 [H, W, 3], BGR.
        detections: In pixels of the image, best first.
        time_s: Seconds since the start of the video or, live, since the first frame; None where there is no time.
    """

    index: int
    name: str
    image: np.ndarray
    detections: Detections
    time_s: Optional[float]


class Network(NamedTuple):
    """What turns images into detections.

    Attributes:
        engine: Used by one thread only.
        spec: How images become its input.
        conf: Lowest score that is kept.
        top_k: Most detections for one image.
        feed: What prepares them; None does it on the host.
        one_class_a_cell: Whether only the best class of a cell is kept.
    """

    engine: Engine
    spec: PreprocessSpec
    conf: float
    top_k: int
    feed: Optional[Feed] = None
    one_class_a_cell: bool = False

    @property
    def way_in(self) -> Feed:
        """What prepares the images."""
        return self.feed or HostFeed(self.engine, self.spec)


class _Prepared(NamedTuple):
    """A batch on its way to the engine.

    Attributes:
        batch: A row counts once its future is done, and not where its frame is an error.
        frames: The frame of each row, and the seconds that its preprocessing took.
    """

    batch: Batch
    frames: List[Future[Tuple[Frame, float]]]


class _Inferred(NamedTuple):
    """A batch behind the engine; ``heads`` has a row for each frame that is no error, in order."""

    frames: List[Frame]
    heads: Optional[np.ndarray]
    times: StageTimes


class _Found(NamedTuple):
    """A finished batch: each frame with its detections, or None where the frame is an error."""

    frames: List[Tuple[Frame, Optional[Detections]]]
    times: StageTimes


def run_stream(
    source: Source,
    network: Network,
    *,
    threads: Optional[int] = None,
    on_unreadable: Optional[Callable[[ImageError], None]] = None,
    on_times: Callable[[StageTimes], None] = lambda _: None,
) -> Generator[Result, None, None]:
    """Detect objects in every frame of a source.

    Nothing starts before the first result is asked for. Closing the generator, or letting go of it, ends all threads;
    an engine call that is under way is waited for.

    Args:
        source: Where the frames come from; taken from in a thread of its own, closed at the end.
        network: What turns them into detections.
        threads: How many read and preprocess; None takes as many as there are cores, 2 to 4.
        on_unreadable: Called in the iterating thread for each frame that is an error, in its place; None logs it.
        on_times: Called in the iterating thread with what each batch took.

    Yields:
        A result for each readable frame, in the source's order.

    Raises:
        OptionError: ``threads`` is below 1.
        SourceError: The source gives no frames any more.
        EngineError: The engine failed.
        ModelError: The engine returned NaN, infinities or another shape.
    """
    threads = max(2, min(MOST_THREADS, os.cpu_count() or 1)) if threads is None else threads
    if threads < 1:
        raise OptionError(f"threads is {threads}: at least 1 has to read")
    return _results(_Pipeline(source, network, threads), on_unreadable or _log_unreadable, on_times)


def _results(
    pipeline: _Pipeline, on_unreadable: Callable[[ImageError], None], on_times: Callable[[StageTimes], None]
) -> Generator[Result, None, None]:
    try:
        pipeline.start()
        while True:
            try:
                found = pipeline.found.get()
            except Closed:
                return
            on_times(found.times)
            for frame, detections in found.frames:
                if isinstance(frame.image, ImageError):
                    on_unreadable(frame.image)
                elif detections is not None:
                    yield Result(frame.index, frame.name, on_host(frame.image), detections, frame.time_s)
            pipeline.done()
    finally:
        pipeline.stop()


def _log_unreadable(error: ImageError) -> None:
    LOG.warning("skipped: %s", error)


class _Pipeline:
    """The threads of one stream and the channels between them.

    Attributes:
        found: Where the finished batches come out.
    """

    def __init__(self, source: Source, network: Network, threads: int) -> None:
        self._source = source
        self._network = network
        self._feed = network.way_in
        self._batch = network.engine.info.batch
        self._prepared: Channel[_Prepared] = Channel()
        self._inferred: Channel[_Inferred] = Channel()
        self.found: Channel[_Found] = Channel()
        # One at the engine, one ready for it, one behind it. More would keep the readers busy; a live source keeps what
        # is new itself, and what waited here would be old when its turn comes.
        self._slots = threading.Semaphore(3 if source.live else 4 + -(-threads // self._batch))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="centernet-read")
        self._stopped = False
        self._threads: Dict[str, threading.Thread] = {}

    def start(self) -> None:
        self._run("take", self._take, None, self._prepared)
        self._run("infer", self._infer, self._prepared, self._inferred)
        self._run("decode", self._decode, self._inferred, self.found)

    def done(self) -> None:
        """Let another batch in, because one that came out is dealt with."""
        self._slots.release()

    def stop(self) -> None:
        """End every thread; what is under way in one is waited for."""
        self._stopped = True
        for channel in (self._prepared, self._inferred, self.found):
            channel.close()
        self._slots.release()
        self._source.interrupt()
        for name in ("infer", "decode"):
            if name in self._threads:
                self._threads[name].join()
        if "take" in self._threads:
            # A caller's own iterator may wait for something that never comes.
            self._threads["take"].join(_JOIN_S)
            if self._threads["take"].is_alive():
                LOG.warning("%s does not come back; its thread is left behind", self._source.name)
        self._pool.shutdown(wait=True)

    def _run(
        self,
        name: str,
        work: Callable[[], None],
        source: Union[Channel[_Prepared], Channel[_Inferred], None],
        sink: Union[Channel[_Prepared], Channel[_Inferred], Channel[_Found]],
    ) -> None:
        def stage() -> None:
            try:
                work()
            except Closed:
                sink.end()
            except BaseException as error:
                sink.end(error)
            else:
                sink.end()
            if source is not None:
                source.close()

        self._threads[name] = threading.Thread(target=stage, name=f"centernet-{name}", daemon=True)
        self._threads[name].start()

    def _take(self) -> None:
        try:
            while True:
                # First the slot: what a live source gives then is the newest.
                self._slots.acquire()
                group = [] if self._stopped else self._source.take(self._batch)
                if not group:
                    return
                batch = self._feed.begin(len(group))
                futures = [self._pool.submit(self._prepare, pending, batch, i) for i, pending in enumerate(group)]
                self._prepared.put(_Prepared(batch, futures))
        finally:
            self._source.close()

    def _prepare(self, pending: Pending, batch: Batch, row: int) -> Tuple[Frame, float]:
        if self._stopped:
            raise Closed
        frame = pending(self._feed.decode) if isinstance(pending, FileFrame) else pending()
        if isinstance(frame.image, ImageError):
            return frame, 0.0
        started = time.perf_counter()
        try:
            batch.fill(row, frame.image)
        except ImageError as error:
            frame = replace(frame, image=ImageError(f"{frame.name}: {error}", error.path))
        return frame, time.perf_counter() - started

    def _infer(self) -> None:
        while True:
            batch, futures = self._prepared.get()
            done = [future.result() for future in futures]
            frames = [frame for frame, _ in done]
            rows = [row for row, frame in enumerate(frames) if not isinstance(frame.image, ImageError)]
            started = time.perf_counter()
            heads = batch.run(rows) if rows else None
            times = StageTimes(
                images=len(rows),
                preprocess_s=sum(seconds for _, seconds in done),
                infer_s=time.perf_counter() - started,
                read_s=sum(frame.read_s for frame in frames),
            )
            self._inferred.put(_Inferred(frames, heads, times))

    def _decode(self) -> None:
        network = self._network
        decoded = partial(decode, spec=network.spec, conf=network.conf, one_class_a_cell=network.one_class_a_cell)
        while True:
            frames, heads, times = self._inferred.get()
            started = time.perf_counter()
            images = [frame.image for frame in frames if not isinstance(frame.image, ImageError)]
            sizes = [(image.shape[0], image.shape[1]) for image in images]
            affines = [self._feed.affine(size) for size in sizes]
            found = [] if heads is None else decoded(heads, sizes, top_k=network.top_k, affines=affines)
            each = iter(found)
            pairs = [(frame, None if isinstance(frame.image, ImageError) else next(each)) for frame in frames]
            self.found.put(_Found(pairs, times + StageTimes(decode_s=time.perf_counter() - started)))
