"""How a stream ends: by an error, because nobody wants more, or because nothing more comes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest

from inference import stream as stream_module
from inference.errors import EngineError, ImageError, ModelError, OptionError, SourceError
from inference.sources import Frame, Given, open_source
from inference.stream import Result, run_stream
from tests.inference.streams import WAIT_S, engine_of, network, pictures, running
from tests.inference.videos import picture

pytestmark = pytest.mark.usefixtures("threads_end")


def failing(at: int, error: BaseException) -> Callable[..., Any]:
    calls: List[int] = []

    def fail(*arguments: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) > at:
            raise error

    return fail


@pytest.mark.parametrize("error", [EngineError("the chip is gone"), KeyboardInterrupt(), MemoryError()])
def test_an_engines_error_comes_out_after_all_results_before_it(error: BaseException) -> None:
    engine, fail = engine_of(2), failing(3, error)
    run_once = engine.run

    def run(batch: np.ndarray) -> np.ndarray:
        fail()
        return run_once(batch)

    engine.run = run  # type: ignore[method-assign]
    results: List[Result] = []
    with pytest.raises(type(error)):
        results.extend(run_stream(open_source(pictures(1000)), network(engine)))
    # ``extend`` keeps what came before the error.
    assert [result.index for result in results] == list(range(6))
    assert running() == []


def test_a_sources_error_comes_out_after_all_results_before_it() -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from pictures(5)
        raise SourceError("the camera is gone", "camera:0")

    results: List[Result] = []
    with pytest.raises(SourceError, match="the camera is gone"):
        results.extend(run_stream(open_source(frames()), network(engine_of(1))))
    assert len(results) == 5


def test_an_error_while_reading_that_is_no_image_error_ends_the_stream() -> None:
    def broken() -> Frame:
        raise RuntimeError("a defect")

    source = Given("numbers", [lambda: Frame(0, "0", picture(0)), broken])
    results: List[Result] = []
    with pytest.raises(RuntimeError, match="a defect"):
        results.extend(run_stream(source, network(engine_of(1))))
    assert len(results) == 1


def test_nan_from_the_engine_ends_the_stream() -> None:
    engine = engine_of(1)
    engine.value = float("nan")
    with pytest.raises(ModelError, match="no finite numbers"):
        list(run_stream(open_source(pictures(3)), network(engine)))


@pytest.mark.parametrize("taken", [1, 5])
def test_leaving_early_ends_every_thread(taken: int) -> None:
    results = run_stream(open_source(pictures(500)), network(engine_of(2)))
    for _ in range(taken):
        next(results)
    assert running() != []
    results.close()
    assert running() == []


def test_letting_go_of_the_iterator_ends_every_thread() -> None:
    for _ in run_stream(open_source(pictures(500)), network(engine_of(2))):
        break
    assert running() == []


def test_an_error_of_whoever_iterates_ends_every_thread() -> None:
    def consume() -> None:
        for _ in run_stream(open_source(pictures(500)), network(engine_of(2))):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()


def test_no_thread_at_all_is_refused() -> None:
    with pytest.raises(OptionError, match="threads"):
        run_stream(open_source(pictures(1)), network(engine_of(1)), threads=0)


def test_an_iterator_that_never_comes_back_is_left_behind_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream_module, "_JOIN_S", 0.02)
    release = threading.Event()

    def frames() -> Iterator[np.ndarray]:
        yield picture(0)
        release.wait(WAIT_S)

    results = run_stream(open_source(frames()), network(engine_of(1)))
    next(results)
    results.close()
    assert "does not come back" in caplog.text
    release.set()


def test_an_image_error_keeps_its_file() -> None:
    seen: List[ImageError] = []
    path = Path("nothing.jpg")
    list(run_stream(open_source([path]), network(engine_of(1)), on_unreadable=seen.append))
    assert seen[0].path == path
