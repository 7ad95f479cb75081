"""A chip that stops answering: whoever waits for it is told, and can always be ended."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from inference.engines import sail as sail_module
from inference.engines import watched
from inference.engines.sail import SailEngine
from inference.engines.watched import GivenUp, Overdue, Watched
from inference.errors import EngineError
from tests.inference.hanging import ended, start, write_case
from tests.inference.sail_files import images, write


@pytest.fixture
def release_thread() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event) -> Any:
    return lambda stored: event.wait(60)


def test_a_chip_that_does_not_answer_is_an_error_and_the_next_call_does_not_wait(
    sail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release_thread: threading.Event
) -> None:
    monkeypatch.setattr(sail_module, "ANSWER_S", 0.2)
    sail.compute = hanging(release_thread)
    started = time.monotonic()
    with SailEngine(write(tmp_path)) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match=r"device 0 has not answered within .*bm-smi and dmesg"):
                engine.run(images(1))
            monkeypatch.setattr(sail_module, "ANSWER_S", 30.0)
    with pytest.raises(EngineError, match="was closed"):
        engine.run(images(1))
    assert time.monotonic() - started < 10
    sail.compute = None


def test_a_model_that_is_never_loaded_is_an_error(
    sail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release_thread: threading.Event
) -> None:
    monkeypatch.setattr(sail_module, "LOAD_S", 0.2)
    monkeypatch.setattr(sail.Engine, "__init__", lambda *given: release_thread.wait(60))
    with pytest.raises(EngineError, match=r"has not answered within 0\.2 s"):
        SailEngine(write(tmp_path))


def test_closing_does_not_wait_for_a_chip_that_hangs(
    sail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release_thread: threading.Event
) -> None:
    monkeypatch.setattr(watched, "GRACE_S", 0.1)
    begun = threading.Event()

    def compute(stored: np.ndarray) -> None:
        begun.set()
        release_thread.wait(60)

    sail.compute = compute
    engine, errors = SailEngine(write(tmp_path)), []  # type: SailEngine, List[EngineError]

    def work() -> None:
        with pytest.raises(EngineError, match="closed while it was at work") as caught:
            engine.run(images(1))
        errors.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    engine.close()
    thread.join(10)
    assert len(errors) == 1
    sail.compute = None


def test_the_thread_ends_with_its_object() -> None:
    def here() -> List[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "short-lived"]

    caller = Watched("short-lived")
    assert caller.call(lambda: 7, 10.0) == 7
    threads = here()
    assert len(threads) == 1
    del caller
    threads[0].join(10)
    assert here() == []


def test_a_call_that_is_late_once_is_late_for_ever(release_thread: threading.Event) -> None:
    caller = Watched("late")
    with pytest.raises(Overdue):
        caller.call(lambda: release_thread.wait(60), 0.05)
    release_thread.set()
    time.sleep(0.1)
    # Its answer would be taken for that of the next call.
    with pytest.raises(Overdue):
        caller.call(lambda: 7, 10.0)
    caller.close()
    assert issubclass(GivenUp, Exception)


def test_detect_says_that_the_chip_hangs_and_keeps_what_was_found(tmp_path: Path) -> None:
    process = start(write_case(tmp_path), tmp_path / "out", answered=2, limit_s=0.5)
    status, complaint, _ = ended(process)
    assert status == 1 and "device 0 has not answered within 0.5 s" in complaint, complaint
    assert isinstance(json.loads((tmp_path / "out" / "detections.json").read_text()), list)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_detect_while_the_chip_hangs(tmp_path: Path, number: int) -> None:
    process = start(write_case(tmp_path), tmp_path / "out", answered=0, limit_s=500.0)
    assert process.stdout is not None
    while process.stdout.readline() not in ("hangs\n", ""):
        pass
    process.send_signal(number)
    status, complaint, seconds = ended(process)
    assert status != 0 and seconds < 30, complaint
