from __future__ import annotations

import threading

import pytest

from tasks.errors import DownloadStopped, FailureKind, MirrorFailure
from tasks.sources.meter import Tally
from tasks.sources.model import Options
from tasks.sources.pace import Clock, Job, RateWatch, persevere
from tests.tasks.sources.support import QUICK, Waits, job_with


def passing() -> MirrorFailure:
    return MirrorFailure(FailureKind.PASSING, "it rained")


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.5), (1.0, 1.0)])
def test_waits_double_up_to_a_cap_and_jitter_halves_them_at_most(jitter: float, factor: float) -> None:
    options = Options(attempts=8, backoff_s=1.0, backoff_cap_s=20.0)
    waits = Waits()
    clock = Clock(monotonic=lambda: 0.0, wait=waits.wait, random=lambda: jitter)

    def fail() -> None:
        raise passing()

    with pytest.raises(MirrorFailure):
        persevere(fail, lambda: 0, Job(options, clock, Tally()))
    assert waits.seconds == [factor * wait for wait in (1, 2, 4, 8, 16, 20, 20)]


def test_what_will_not_pass_is_raised_at_once() -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise MirrorFailure(FailureKind.MISSING, "404")

    with pytest.raises(MirrorFailure):
        persevere(fail, lambda: 0, job_with())
    assert len(tries) == 1


def test_only_bytes_beyond_the_best_so_far_count_as_getting_on() -> None:
    have = iter([0, 2 << 20, 1 << 20, 2 << 20, 5 << 20, 5 << 20, 5 << 20, 5 << 20])
    job = job_with(QUICK.model_copy(update={"attempts": 3}))
    tries = []

    def fail() -> None:
        tries.append(1)
        raise passing()

    with pytest.raises(MirrorFailure):
        persevere(fail, lambda: next(have), job)
    assert len(tries) == 7


def test_a_connection_is_slow_only_over_a_whole_window() -> None:
    watch = RateWatch(min_rate=100, window_s=10.0, now=0.0)
    watch.note(1, now=9.9)
    watch.note(999, now=10.0)
    watch.note(1, now=19.9)
    with pytest.raises(MirrorFailure, match="less than 100"):
        watch.note(1, now=20.0)


def test_a_job_that_is_called_off_ends_its_waits() -> None:
    job = Job(QUICK, Clock(), Tally())
    threading.Timer(0.05, job.stop).start()
    with pytest.raises(DownloadStopped, match="called off"):
        job.sleep(60)


def test_each_thread_has_connections_of_its_own() -> None:
    job = job_with()
    sessions = [job.session, job.session]
    thread = threading.Thread(target=lambda: sessions.append(job.session))
    thread.start()
    thread.join()
    assert sessions[0] is sessions[1]
    assert sessions[2] is not sessions[0]
    job.close()
