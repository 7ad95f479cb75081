"""Work that is stopped by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.stopping import SIGNALS, Stopped, noted_signals, run_until_stopped

ROOT = Path(__file__).parents[2]

STUBBORN = """
import sys, threading, time
from flows import stopping
stopping.GRACE_S = float(sys.argv[1])
farewells = []
def work():
    print("working", flush=True)
    while True:
        time.sleep(0.05)
with stopping.noted_signals() as received:
    stopping.run_until_stopped(work, received, farewell=lambda: print("farewell", flush=True))
"""


@contextmanager
def stubborn(grace_s: float) -> Iterator[subprocess.Popen[str]]:
    """Start a process with work that no signal interrupts."""
    command = [sys.executable, "-c", STUBBORN, str(grace_s)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "working\n"
            yield process
        finally:
            process.kill()


def test_work_that_goes_on_is_abandoned_after_a_while() -> None:
    with stubborn(0.5) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "farewell\n" and process.returncode == 143


def test_a_second_signal_does_not_wait_any_longer() -> None:
    with stubborn(3600.0) as process:
        # Not twice the same: two of a kind that arrive together count as one.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "farewell\n" and process.returncode in (130, 143)


def children() -> set[int]:
    """Ids of the processes that this one has started so far; the tests' Prefect server may be among them."""
    listings = Path("/proc/self/task").glob("*/children")
    return {int(child) for listing in listings for child in listing.read_text().split()}


def test_the_processes_of_the_work_are_ended_but_for_the_spared() -> None:
    spared = subprocess.Popen(["sleep", "600"])
    ended: list[int] = []
    bids: list[str] = []

    def work() -> None:
        child = subprocess.Popen(["sleep", "600"])
        os.kill(os.getpid(), signal.SIGTERM)
        ended.append(child.wait())
        raise RuntimeError("the child died")

    try:
        with noted_signals() as received, pytest.raises(Stopped, match="stopped by SIGTERM") as caught:
            run_until_stopped(work, received, spared=children(), farewell=lambda: bids.append("farewell"))
        assert ended == [-signal.SIGTERM] and spared.poll() is None and bids == ["farewell"]
        assert caught.value.exit_status == 143 and isinstance(caught.value.__cause__, RuntimeError)
    finally:
        spared.kill()
        spared.wait()


def test_work_that_is_done_before_it_can_be_stopped_counts() -> None:
    def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "done"

    with noted_signals() as received:
        assert run_until_stopped(work, received, spared=children(), farewell=lambda: None) == "done"
        assert received == [signal.SIGINT]


def test_what_the_work_raises_comes_out() -> None:
    def work() -> None:
        raise KeyError("lost")

    with noted_signals() as received, pytest.raises(KeyError, match="lost"):
        run_until_stopped(work, received, farewell=lambda: None)


def test_signals_do_again_what_they_did() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with noted_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    seen: list[list[int]] = []

    def elsewhere() -> None:
        with noted_signals() as received:
            seen.append(received)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [[]]
