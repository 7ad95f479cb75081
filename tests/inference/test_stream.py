"""The pipeline: order, overlap, batches, and what is unreadable."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import numpy as np
import pytest

from inference import stream as stream_module
from inference.preprocess import preprocess
from inference.sources import Frame, Given, Pending, open_source
from inference.stream import run_stream
from inference.times import StageTimes
from tests.inference.engine_in_memory import SPEC
from tests.inference.streams import WAIT_S, engine_of, network, pictures, running
from tests.inference.videos import number_of, picture

pytestmark = pytest.mark.usefixtures("threads_end")


@pytest.mark.parametrize("batch, threads, count", [(1, 1, 7), (1, 4, 40), (2, 3, 9), (4, 2, 3), (4, 4, 41)])
def test_results_come_in_the_sources_order_whatever_overtakes(batch: int, threads: int, count: int) -> None:
    def slow_when_even(index: int) -> Frame:
        time.sleep(0.002 * (index % 2 == 0))
        return Frame(index, f"{index}", picture(index % 20))

    engine = engine_of(batch)
    source = Given("numbers", ((lambda index=index: slow_when_even(index)) for index in range(count)))
    results = list(run_stream(source, network(engine), threads=threads))
    assert [result.index for result in results] == list(range(count))
    assert [number_of(result.image) for result in results] == [index % 20 for index in range(count)]
    assert [len(batch) for batch in engine.batches[:-1]] == [batch] * (len(engine.batches) - 1)
    for index, row in enumerate(np.concatenate(engine.batches)):
        np.testing.assert_array_equal(row, preprocess(picture(index % 20), SPEC))
    assert all(len(result.detections) == 1 for result in results)


def test_reading_goes_on_while_the_engine_is_at_work() -> None:
    engine, read_ahead = engine_of(1), threading.Event()
    run_once = engine.run

    def frames() -> Iterator[np.ndarray]:
        yield picture(0)
        yield picture(1)
        read_ahead.set()
        yield picture(2)

    def run(batch: np.ndarray) -> np.ndarray:
        assert read_ahead.wait(WAIT_S), "nobody read on while the engine was at work on the first image"
        return run_once(batch)

    engine.run = run  # type: ignore[method-assign]
    assert len(list(run_stream(open_source(frames()), network(engine)))) == 3


def test_the_engine_goes_on_while_heads_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, second = engine_of(1), threading.Event()
    run_once, decode = engine.run, stream_module.decode

    def run(batch: np.ndarray) -> np.ndarray:
        if engine.batches:
            second.set()
        return run_once(batch)

    def decode_late(*arguments: Any, **options: Any) -> Any:
        assert second.wait(WAIT_S), "the engine waited for the first image to be decoded"
        return decode(*arguments, **options)

    engine.run = run  # type: ignore[method-assign]
    monkeypatch.setattr(stream_module, "decode", decode_late)
    assert len(list(run_stream(open_source(pictures(3)), network(engine)))) == 3


def test_several_images_are_read_at_a_time() -> None:
    together = threading.Barrier(3)

    def read(index: int) -> Frame:
        together.wait(WAIT_S)
        return Frame(index, f"{index}", picture(index))

    source = Given("numbers", ((lambda index=index: read(index)) for index in range(3)))
    assert len(list(run_stream(source, network(engine_of(1)), threads=3))) == 3


@pytest.mark.parametrize("batch", [1, 4])
def test_no_more_is_read_than_the_pipeline_holds(batch: int) -> None:
    read: List[int] = []

    def frames() -> Iterator[np.ndarray]:
        for index in range(1000):
            read.append(index)
            yield picture(index % 20)

    results = run_stream(open_source(frames()), network(engine_of(batch)), threads=2)
    next(results)
    before = -1
    while len(read) > before:
        before = len(read)
        time.sleep(0.05)
    results.close()
    assert len(read) <= 7 * batch


def test_nothing_starts_before_the_first_result_is_asked_for() -> None:
    started: List[int] = []

    def frames() -> Iterator[np.ndarray]:
        started.append(1)
        yield picture(0)

    results = run_stream(open_source(frames()), network(engine_of(1)))
    assert running() == [] and not started
    results.close()


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_unreadable_images_are_passed_by_in_their_place(tmp_path: Path, batch: int) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    mixed: List[Any] = [picture(0), tmp_path / "cut.jpg", picture(1), np.zeros((3, 3), np.uint8), picture(2)]
    engine, seen = engine_of(batch), []
    results = run_stream(open_source(mixed), network(engine), on_unreadable=lambda error: seen.append(str(error)))
    found = []
    for result in results:
        found.append((result.index, number_of(result.image), len(seen)))
    # The batch's errors are reported in front of what follows them.
    assert [(index, number) for index, number, _ in found] == [(0, 0), (2, 1), (4, 2)]
    assert [before for _, _, before in found] == [0, 1, 2]
    assert "cut.jpg" in seen[0] and "image 4: an image is uint8" in seen[1]
    rows = np.concatenate(engine.batches)
    np.testing.assert_array_equal(rows, [preprocess(picture(number), SPEC) for number in range(3)])


def test_a_batch_of_nothing_but_unreadable_images_never_reaches_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of(2)
    with caplog.at_level(logging.WARNING):
        assert list(run_stream(open_source([np.zeros(3)] * 4), network(engine))) == []
    assert engine.batches == [] and caplog.text.count("skipped: image") == 4

    # The traceback that pytest kept held on to the iterator.


class LiveStandIn:
    """Frames that come at once when asked for; what it was asked is kept."""

    name, live, files, total, fps, dropped = "camera:0", True, None, None, 25.0, 0

    def __init__(self, groups: Sequence[int]) -> None:
        self.asked: List[int] = []
        self.closed = 0
        self.interrupted = False
        self._groups = list(groups)
        self._waiting = threading.Event()

    def take(self, limit: int) -> List[Pending]:
        self.asked.append(limit)
        if not self._groups:
            assert self._waiting.wait(WAIT_S)
            return []
        size = self._groups.pop(0)
        return [lambda: Frame(0, "camera:0#1", picture(0))] * size

    def interrupt(self) -> None:
        self.interrupted = True
        self._waiting.set()

    def close(self) -> None:
        self.closed += 1


def test_a_live_batch_goes_to_the_engine_as_full_as_it_is() -> None:
    engine, source = engine_of(4), LiveStandIn([1, 3])
    results = run_stream(source, network(engine))
    for _ in range(4):
        next(results)
    assert [len(batch) for batch in engine.batches] == [1, 3] and set(source.asked) == {4}
    results.close()
    assert source.interrupted and source.closed == 1


def test_at_most_three_batches_of_a_live_source_are_under_way() -> None:
    engine, source = engine_of(1), LiveStandIn([1] * 100)
    results = run_stream(source, network(engine))
    next(results)
    before = -1
    while len(source.asked) > before:
        before = len(source.asked)
        time.sleep(0.05)
    assert len(source.asked) == 3
    results.close()


def test_times_of_every_stage_are_handed_over() -> None:
    times: List[StageTimes] = []
    frames = [lambda: Frame(0, "0", picture(0), read_s=0.5)] * 5
    for _ in run_stream(Given("numbers", frames), network(engine_of(2)), on_times=times.append):
        pass
    total = sum(times, StageTimes())
    assert (total.images, total.read_s) == (5, 2.5)
    assert min(total.preprocess_s, total.infer_s, total.decode_s) > 0
