"""``python -m inference detect``: images, videos or streams in; annotated ones and results JSON out."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from inference.annotate import Annotator
from inference.commands.which_model import open_detector
from inference.deploy.local import local_release
from inference.detector import Detector
from inference.errors import ImageError, OptionError
from inference.model import read_release
from inference.outputs import RESULTS_FILE, Outputs, prepare_folder
from inference.progress import Progress
from inference.results import summary
from inference.sources import Source, is_live, open_source
from inference.times import StageTimes


def detect(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: ``model``, ``input``, ``output``, ``conf``, ``match_fp32``, ``engine``, ``chip``, ``precision``,
            ``batch``, ``io``, ``device``, ``preprocess``, ``vendor_json``, ``no_pictures`` and ``limit``.

    Returns:
        How many images could not be read; they were named and skipped.

    Raises:
        OptionError: The output folder is the images' own folder, or there is none for what needs one.
        ImageError: There is no image at all.
        SourceError: A video cannot be opened, or a camera or stream gives no frames.
        OutputError: The output folder cannot be written.
        InferenceError: The model or the engine failed.
    """
    if options.vendor_json and options.output is None:
        raise OptionError("--vendor-json needs --output, the folder that the file is written into")
    # What is wrong with the release is said first, at once: to open a large video or a folder on a network takes time.
    model = local_release(options.model)
    read_release(model)
    source = open_source(options.input, limit=options.limit)
    if options.output is not None:
        prepare_folder(options.output, source, beside=_home(options.input), pictures=not options.no_pictures)
    with _interrupted_by_signals() as interrupts, ExitStack() as stack:
        started = time.perf_counter()
        detector = stack.enter_context(open_detector(model, options, conf=options.conf, match_fp32=options.match_fp32))
        interrupts.end = detector.close
        load_s = time.perf_counter() - started
        outputs = _open_outputs(options, source, detector)
        if outputs is not None:
            stack.enter_context(outputs)
        run = _Run(detector, source, outputs)
        run.work()
        if outputs is not None:
            outputs.close()
        run.report(load_s, options.output)
    return run.unreadable


class _Run:
    """One pass over the source.

    Attributes:
        unreadable: How many images could not be read.
    """

    def __init__(self, detector: Detector, source: Source, outputs: Optional[Outputs]) -> None:
        self.unreadable = 0
        self._detector = detector
        self._source = source
        self._outputs = outputs
        self._detections = 0
        self._progress = Progress(source.total)

    def work(self) -> None:
        results = self._detector.stream(self._source, on_unreadable=self._skip)
        with ExitStack() as stack:
            stack.enter_context(closing(results))
            stack.push(self._end_engine)
            for result in results:
                self._detections += len(result.detections)
                if self._outputs is not None:
                    self._outputs.add(result)
                else:
                    print(f"{result.name}: {summary(result.detections, self._detector.class_names)}", flush=True)
                self._progress.step()
        self._progress.clear()

    def report(self, load_s: float, folder: Optional[Path]) -> None:
        """Say what was found, and where the time went."""
        times, seconds = self._detector.times, self._progress.seconds
        what = "frames" if self._source.files is None else "images"
        annotator = None if self._outputs is None else self._outputs.annotator
        print(f"{self._detections} detections in {times.images} {what}{self._written(folder)}")
        if self._source.dropped:
            print(f"{self._source.dropped} frames were left out because newer ones had come")
        if times.images:
            print(f"ms of work an image: {_stages_text(times, annotator)}")
            print(
                f"end to end: {seconds:.2f} s, {1000 * seconds / times.images:.1f} ms an image, "
                f"{times.images / seconds:.1f} images/s; loading the model took {load_s:.1f} s"
            )
        if self.unreadable:
            total = times.images + self.unreadable
            print(f"{self.unreadable} of {total} {what} could not be read", file=sys.stderr)

    def _written(self, folder: Optional[Path]) -> str:
        if folder is None or self._outputs is None:
            return ""
        if self._outputs.annotator is None:
            return f"; {RESULTS_FILE} is in {folder}"
        return f"; {'a video' if self._source.files is None else 'pictures'} and {RESULTS_FILE} are in {folder}"

    def _skip(self, error: ImageError) -> None:
        self.unreadable += 1
        self._progress.clear()
        print(f"skipped: {error}", file=sys.stderr)
        self._progress.step()

    def _end_engine(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        """After Ctrl-C, nobody wants to wait for a simulator that takes a minute a run."""
        if isinstance(error, KeyboardInterrupt):
            self._progress.clear()
            print(f"stopping after {self._progress.done} images; what was found is kept", file=sys.stderr)
            self._detector.close()


def _open_outputs(options: argparse.Namespace, source: Source, detector: Detector) -> Optional[Outputs]:
    if options.output is None:
        return None
    return Outputs(
        options.output,
        source,
        detector.class_names,
        bmodel=detector.model.path,
        pictures=not options.no_pictures,
        vendor_json=options.vendor_json,
    )


def _stages_text(times: StageTimes, annotator: Optional[Annotator]) -> str:
    stages = {
        "read": times.read_s,
        "preprocess": times.preprocess_s,
        "infer": times.infer_s,
        "decode": times.decode_s,
    }
    if annotator is not None:
        stages.update(draw=annotator.draw_s, write=annotator.write_s)
    return ", ".join(f"{name} {1000 * spent / times.images:.1f}" for name, spent in stages.items())


def _home(text: str) -> Optional[Path]:
    """The folder that an input is, or lies in; None where it is no file."""
    if is_live(text):
        return None
    return Path(text) if Path(text).is_dir() else Path(text).parent


class _Interrupts:
    """What a signal ends at once, beside interrupting the main thread.

    Attributes:
        end: Called in a thread of its own. The main thread may be inside the stream, which waits for the engine's call
            before it lets go; of a chip that hangs that would be for ever.
    """

    def __init__(self) -> None:
        self.end: Callable[[], object] = lambda: None

    def __call__(self, number: int, frame: Any) -> None:
        threading.Thread(target=self.end, name="centernet-end", daemon=True).start()
        raise KeyboardInterrupt


@contextmanager
def _interrupted_by_signals() -> Iterator[_Interrupts]:
    """Let SIGTERM, by which systemd ends what it runs, do as Ctrl-C does."""
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
